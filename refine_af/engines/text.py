"""The interface of every text engine, and the one place that opens them by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Finish = Literal["stop", "length", "error"]
Determinism = Literal["exact", "same_batch", "none"]
"""``exact``: a completion depends on nothing but its request. ``same_batch``: also on the other
requests of the same call (float rounding differs with the shape of a batch). ``none``: no
promise. Provenance stores it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one completion is drawn.

    Attributes:
        max_tokens: Most new tokens.
        temperature: 0 is greedy.
        top_p: Nucleus mass in (0, 1].
        presence_penalty: Subtracted from the logit of every token already written.
        stop: Texts that end a completion; they are not part of it.
        choices: When not empty, the completion is one of these (constrained choice).
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. ``seed`` is derived per request (run seed, row id, sample number)."""

    id: str
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, in the order of the requests.

    Attributes:
        id: Id of the request.
        text: What the model wrote, without the prompt and the stop text.
        finish: ``stop`` (end token or stop text), ``length`` (cut off) or ``error``.
        prompt_tokens: Tokens read.
        tokens: Tokens written.
        logprob: Sum of the log-probabilities of the written tokens; None where not asked for.
        error: What went wrong, for ``finish == "error"``.
    """

    id: str
    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int
    logprob: float | None = None
    error: str = ""


class TextEngine(Protocol):
    """Writes completions."""

    determinism: Determinism

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order; a failed one has ``finish == "error"``."""

    def describe(self) -> dict[str, str]:
        """Return engine, version, model and adapter digests, for provenance."""

    def close(self) -> None:
        """Free memory and processes."""
