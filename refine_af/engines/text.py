"""The interface of every text engine."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from refine_af.contracts.errors import ParameterError

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
        presence_penalty: Subtracted once from the logit of every token already written.
        stop: Texts that end a completion; they are not part of it.
        choices: When not empty, the completion is one of these (constrained choice).
        json_schema: When not empty, the completion is JSON that follows this JSON Schema, itself
            a JSON text (``vllm``, ``openai``).
        regex: When not empty, the whole completion matches it (``vllm``, ``openai``). Use only what
            Python's ``re`` and the engine's grammar read in the same way: no look-around, no
            back-references.

    ``choices``, ``json_schema`` and ``regex`` exclude each other, and a stop text never cuts what
    they ask for. A completion of theirs that met ``max_tokens`` is the beginning of one.

    Raises:
        ParameterError: For two of the three, a schema that is not a JSON object, or an
            invalid pattern.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    json_schema: str = ""
    regex: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without an engine."""
        if bool(self.choices) + bool(self.json_schema) + bool(self.regex) > 1:
            raise ParameterError("choices, json_schema and regex exclude each other; give one")
        if self.json_schema:
            _check_schema(self.json_schema)
        try:
            re.compile(self.regex)
        except re.error as error:
            raise ParameterError(
                f"regex is {self.regex!r}; it must be a regular expression: {error}"
            ) from None

    @property
    def free(self) -> bool:
        """Tell whether the completion may be any text."""
        return not (self.choices or self.json_schema or self.regex)


def _check_schema(text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"json_schema is not JSON ({error}); give a JSON Schema") from None
    if not isinstance(value, dict):
        raise ParameterError(f"json_schema is {text[:60]!r}; it must be a JSON object")


def refuse_forms(engine: str, sampling: Sampling) -> None:
    """Refuse a JSON schema or pattern for an engine that cannot hold a model to it.

    Raises:
        ParameterError: With the engines that can.
    """
    if sampling.json_schema or sampling.regex:
        name = "json_schema" if sampling.json_schema else "regex"
        raise ParameterError(
            f"engine {engine!r} cannot hold a completion to {name}; use vllm, or openai with an"
            " endpoint that can (every engine takes choices)"
        )


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
        choice_logprobs: log p of each of ``Sampling.choices`` after the prompt, nats, in their
            order; None without choices, or from an engine that only knows the one it picked.
        refused: For ``finish == "error"``: the request itself is at fault, such as a prompt that
            is too long, and asking again brings the same.
        unusable: For ``finish == "error"``: the endpoint answered, but with nothing that is an
            answer: no content, a refusal, a content filter.
        thinking: The think block in front of ``text``, with its marks; empty where there is none.
    """

    id: str
    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int
    logprob: float | None = None
    error: str = ""
    choice_logprobs: tuple[float, ...] | None = None
    refused: bool = False
    unusable: bool = False
    thinking: str = ""

    @property
    def answered(self) -> bool:
        """Tell whether this is final; otherwise the same request may be answered later."""
        return self.finish != "error" or self.refused or self.unusable


class TextEngine(Protocol):
    """Writes completions."""

    determinism: Determinism

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order; a failed one has ``finish == "error"``."""

    def describe(self) -> dict[str, str]:
        """Return engine, version, model and adapter digests, for provenance."""

    def close(self) -> None:
        """Free memory and processes."""


@runtime_checkable
class AnswersOneByOne(Protocol):
    """An engine that answers requests independently and can hand each answer on as it comes."""

    def generate_each(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_answer: Callable[[Completion], None],
    ) -> list[Completion]:
        """Do as ``generate``, and call ``on_answer`` with each completion, in order of arrival."""
