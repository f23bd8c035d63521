"""What text engines read and wrote, and what endpoints ask for it, in a task's telemetry."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refine_af.engines.text import Completion, Determinism, Request, Sampling, TextEngine

Price = Callable[[int, int], float]
"""From tokens read and written to money; 0 where no price is known."""

ENDPOINT_MONEY = "endpoint_money"
COUNTED = ("calls", "prompt_tokens", "new_tokens", ENDPOINT_MONEY)
"""Entries of the telemetry; money stands there only where a price is known."""


def count(telemetry: dict[str, Any], answers: Sequence[Completion], price: Price) -> None:
    """Add answers to the telemetry, where progress reports find them.

    Answers that an earlier try of the task was given count too. What a server charged for tries
    that brought no answer is not known here.
    """
    read = sum(answer.prompt_tokens for answer in answers)
    written = sum(answer.tokens for answer in answers)
    counts: dict[str, float] = {
        "calls": len(answers),
        "prompt_tokens": read,
        "new_tokens": written,
    }
    if money := price(read, written):
        counts[ENDPOINT_MONEY] = money
    add(telemetry, counts)


def add(telemetry: dict[str, Any], counts: Mapping[str, float]) -> None:
    """Add counts to those of the telemetry."""
    for name, amount in counts.items():
        telemetry[name] = telemetry.get(name, 0) + amount


class Counted:
    """A text engine whose answers are counted and not kept."""

    def __init__(self, engine: TextEngine, telemetry: dict[str, Any], price: Price) -> None:
        """Count into ``telemetry``."""
        self._engine, self._telemetry, self._price = engine, telemetry, price
        self.determinism: Determinism = engine.determinism

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the engine's completions."""
        answers = self._engine.generate(requests, sampling)
        count(self._telemetry, answers, self._price)
        return answers

    def describe(self) -> dict[str, str]:
        """Return the engine's own description."""
        return self._engine.describe()

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()
