"""A text engine that the caller opened and closes; stages only use it."""

from collections.abc import Mapping, Sequence
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.engines.text import Completion, Determinism, Request, Sampling, TextEngine


class Borrowed:
    """An engine whose ``close`` does nothing, so that its owner can go on using it."""

    def __init__(self, engine: TextEngine) -> None:
        self._engine = engine
        self.determinism: Determinism = engine.determinism

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  such as generate_each, where it is
        return getattr(self._engine, name)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the engine's completions."""
        return self._engine.generate(requests, sampling)

    def describe(self) -> dict[str, str]:
        """Return the engine's own description."""
        return self._engine.describe()

    def close(self) -> None:
        """Leave the engine open."""


def described_params(engine: TextEngine) -> Mapping[str, Scalar]:
    """Return the parameters that describe a caller's engine, from its own description.

    ``chat`` decides in which words it is asked; whether it applies a chat template is its own
    affair.
    """
    about = engine.describe()
    model = about.get("model") or about.get("engine") or type(engine).__name__
    return {"model": model, "chat": "yes" if about.get("chat") in ("yes", "true") else "no"}
