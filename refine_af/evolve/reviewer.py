"""The reviewer: does a rewrite differ from its parent? Asked in both orders, by constrained choice.

TeaMs-RL compares the answer with the words "Not Equal", so that a full stop turns it round; here
the answer is one of two choices and its probability is used where the engine reports it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from refine_af.contracts.randomness import derive
from refine_af.engines.text import Completion, Request, Sampling, TextEngine
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import Style, render

CHOICES: dict[Style, tuple[str, str]] = {"plain": (" Yes", " No"), "instruct": ("B", "A")}
"""Per style: the choice that means "differs", then the other one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A parent and its rewrite; ``key`` names the pair."""

    key: str
    parent: str
    rewrite: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the reviewer said.

    Attributes:
        labels: Its answers: parent first, then rewrite first.
        changed: Probability that the two differ, the mean of both orders; None when an answer
            is not among the choices.
    """

    labels: tuple[str, str]
    changed: float | None


class Reviewer:
    """Compares by any text engine. Without probabilities an answer counts as certain."""

    def __init__(self, engine: TextEngine, style: Style, seed: int, ledger: Ledger) -> None:
        """Ask ``engine``; calls are counted in ``ledger``."""
        self._engine, self._style, self._seed, self._ledger = engine, style, seed, ledger

    def judge(self, pairs: Sequence[Pair], phase: str) -> list[Verdict]:
        """Return one verdict per pair, in order; one batch for all pairs and orders."""
        requests = [
            self._request(pair.key, order, first, second)
            for pair in pairs
            for order, (first, second) in enumerate(
                ((pair.parent, pair.rewrite), (pair.rewrite, pair.parent))
            )
        ]
        if not requests:
            return []
        choices = CHOICES[self._style]
        sampling = Sampling(max_tokens=4, temperature=0.0, choices=choices)
        answers = self._engine.generate(requests, sampling)
        self._ledger.add("judge", phase, answers)
        return [
            _verdict(forward, reverse, choices)
            for forward, reverse in zip(answers[::2], answers[1::2], strict=True)
        ]

    def _request(self, key: str, order: int, first: str, second: str) -> Request:
        prompt = render(f"review_{self._style}", first=first, second=second)
        return Request(f"{key}/review-{order}", prompt, derive(self._seed, "review", key, order))


def _verdict(forward: Completion, reverse: Completion, choices: tuple[str, str]) -> Verdict:
    shares = [_share(answer, choices) for answer in (forward, reverse)]
    labels = (_label(forward), _label(reverse))
    known = [share for share in shares if share is not None]
    return Verdict(labels, sum(known) / 2 if len(known) == 2 else None)


def _label(answer: Completion) -> str:
    return f"error: {answer.error}" if answer.finish == "error" else answer.text.strip()[:80]


def _share(answer: Completion, choices: tuple[str, str]) -> float | None:
    """Return the probability of the first choice, or None for an answer that is neither."""
    label = answer.text.strip()
    if answer.finish == "error" or label not in [choice.strip() for choice in choices]:
        return None
    if answer.choice_logprobs is None:
        return 1.0 if label == choices[0].strip() else 0.0
    differs, equal = answer.choice_logprobs
    return 1.0 / (1.0 + exp(min(equal - differs, 700.0)))
