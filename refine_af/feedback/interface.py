"""The interface of scorers, and the checks on their scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from refine_af.contracts.errors import DataError

Parts = dict[str, float]
"""Named numbers of one row, such as ``{"naturalness": 0.95, "coherence": 0.97}``."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """A row that a scorer could not score, such as after an unusable answer of a judge."""

    reason: str


class Triplet(NamedTuple):
    """One instruction with one input (may be empty) and the output to be judged."""

    instruction: str
    input: str
    output: str

    @property
    def prompt(self) -> str:
        r"""Return the prompt side: the instruction and, when there is one, ``\n`` and the input."""
        return f"{self.instruction}\n{self.input}" if self.input else self.instruction


class Scorer(Protocol):
    """Judges triplets. A row's scores depend on that row only, up to float rounding.

    Attributes:
        name: For messages and provenance, such as ``unieval:MingZhong/unieval-dialog``.
        part_names: The keys of every row's scores, in order.
    """

    name: str
    part_names: tuple[str, ...]

    def score(self, rows: Sequence[Triplet]) -> Sequence[Parts | Unscored]:
        """Return one dictionary per row, in order; each holds every name of ``part_names``.

        A row that cannot be scored, through no fault of the scorer's, is :class:`Unscored`.
        """


@dataclass(frozen=True, slots=True)
class Scored:
    """The verdict on one row.

    Attributes:
        total: What a trainer or a selection uses: ``raw`` after normalisation, clip and guard
            penalties, or the floor for an action that could not be parsed.
        parts: Every indicator of the row, whether the rule weighs it or not, and ``raw``; empty
            for an action that could not be parsed and for a row without a score.
        raw: The rule's value in its own unit; equals ``total`` where no settings change it.
        flags: Names of the guards that the row broke, ``("unparseable",)`` or ``("unscored",)``.
    """

    total: float
    parts: Parts
    raw: float
    flags: tuple[str, ...] = ()


def checked_scores(scorer: Scorer, rows: Sequence[Triplet]) -> list[Parts | Unscored]:
    """Return ``scorer.score(rows)``, checked.

    Raises:
        DataError: For a wrong number of rows, other parts than the scorer promised, or a number
            that is not finite. The message names scorer, row and part.
    """
    scores = list(scorer.score(rows))
    if len(scores) != len(rows):
        raise DataError(
            f"scorer {scorer.name} returned {len(scores)} scores for {len(rows)} rows;"
            " it must return one per row, in order"
        )
    for number, parts in enumerate(scores, start=1):
        if not isinstance(parts, Unscored):
            _check_parts(scorer, number, parts)
    return scores


def _check_parts(scorer: Scorer, number: int, parts: Parts) -> None:
    location = f"scorer {scorer.name}, row {number}"
    if set(parts) != set(scorer.part_names):
        raise DataError(
            f"{location}: found the parts {sorted(parts)}; it must return"
            f" {sorted(scorer.part_names)} for every row"
        )
    for name, value in parts.items():
        if not math.isfinite(value):
            raise DataError(
                f"{location}: part {name!r} is {value}; a score must be a finite number."
                " Nothing is trained on it: correct the scorer or drop the row"
            )
