"""When unanswered requests end a stage: the tolerated share, and the error that is raised."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from refine_af.contracts.errors import DataError, DependencyError
from refine_af.contracts.readable import readable
from refine_af.engines.params import MAX_FAILED
from refine_af.engines.text import Completion

REMEDY = (
    "Asking again brings the same. Where a prompt is too long, set a smaller max_tokens, give"
    " shorter texts or fewer examples, or take a model with a longer context"
)
"""What to do about refused requests."""


@dataclass(slots=True)
class Failures:
    """Counts the answers of one engine and ends the stage when too many requests failed.

    A *refused* request is itself at fault (such as a prompt that is too long); a retry gives the
    same. An *unusable* answer (no content, a content filter) is final too and costs one row. Any
    other failure is the engine's, and a retry may succeed.

    Attributes:
        max_failed: Largest share of requests that may fail without being refused.
        max_refused: Largest share that may be refused. The stage ends in any case when all are.
    """

    max_failed: float = MAX_FAILED
    max_refused: float = 1.0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    unusable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, answers: Iterable[Completion]) -> None:
        """Count answers."""
        for answer in answers:
            if answer.finish != "error":
                self.answered += 1
                continue
            self.reasons[answer.error] += 1
            if answer.refused:
                self.refused += 1
            elif answer.unusable:
                self.unusable += 1
            else:
                self.failed += 1

    @property
    def asked(self) -> int:
        """Return the number of answers counted."""
        return self.answered + self.failed + self.refused + self.unusable

    def check(self, total: int) -> None:
        """End the stage as soon as more than the allowed share of ``total`` requests failed.

        Raises:
            DependencyError: With the most frequent reason.
        """
        if self.failed > self.max_failed * total:
            raise DependencyError(
                f"{self.failed} of {self.asked} requests were not answered, more than max_failed"
                f" {self.max_failed:g} allows; {self.most_often()}. Check the engine, its model or"
                " its endpoint and run again: only the unanswered requests are asked again"
            )

    def check_end(self) -> None:
        """End the stage when no request was answered, or more than ``max_refused`` were refused.

        Raises:
            DataError: Requests were refused, or no answer could be used; with the most frequent
                reason.
            DependencyError: None was answered, whatever ``max_failed`` allows.
        """
        if not self.answered:
            self.check(0)
        if self.unusable and not self.answered and not self.refused:
            raise DataError(
                f"none of {self.asked} answers could be used; {self.most_often()}. Look at one"
                " answer of the endpoint: its model, its filter or its form of answers is at fault"
            )
        if self.refused and not self.answered:
            raise DataError(
                f"none of {self.asked} requests was accepted; {self.most_often()}. {REMEDY}"
            )
        if self.refused > self.max_refused * self.asked:
            raise DataError(
                f"{self.refused} of {self.asked} requests were refused, more than"
                f" {self.max_refused:.0%}; {self.most_often()}. {REMEDY}"
            )

    def most_often(self) -> str:
        """Return the most frequent reason in words."""
        [(reason, times)] = self.reasons.most_common(1)
        return f"most often ({times} of {self.reasons.total()}): {readable(reason)}"


FEWEST_PARSED = 0.1
"""Smallest share of answers that must have the form asked for; with fewer the form is wrong for
the model, and the next stages would work on leftovers."""

FEWEST_ANSWERS = 10
"""Fewer answers are too few to judge the share."""


def check_parsed(parsed: int, answers: int, example: str) -> None:
    """End the stage when hardly any answer has the requested form.

    Args:
        parsed: Answers with that form.
        answers: All of them.
        example: An answer without it, for the message.

    Raises:
        DataError: For less than :data:`FEWEST_PARSED` of at least :data:`FEWEST_ANSWERS`.
    """
    if answers < FEWEST_ANSWERS or parsed >= FEWEST_PARSED * answers:
        return
    raise DataError(
        f"{parsed} of {answers} answers have the form that was asked for, fewer than 1 in 10; one"
        f" without it begins {readable(example)[:120]!r}. Ask in the form that suits the model:"
        " chat=yes for one tuned to follow instructions, chat=no and style=few_shot for a base"
        " model; and see whether max_tokens leaves room for an answer"
    )
