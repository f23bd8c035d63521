"""Measures on a user's rows, before training, whether a reward prefers right to wrong answers.

Each kind of fault is made from the rows themselves: the answer of another row (``swapped``), the
first half (``truncated``), words in another order (``garbled``), the first words said again
(``repeated``), the question said back (``echo``). A reward that a policy cannot exploit scores the
original row above each of them. The area under the curve (AUC) is the chance that a right row
scores above a faulty one: 1 is perfect, 0.5 is a coin, below 0.5 the reward pays for the fault.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from refine_af.contracts.errors import DataError
from refine_af.contracts.randomness import shuffled
from refine_af.feedback.interface import Triplet
from refine_af.statistics import spearman

FEWEST_WORDS = 4
"""Answers with fewer words cannot be cut or reordered in a way that shows."""

WEAK = 0.7
"""AUC below which a warning is given: about a third of the comparisons then go the wrong way."""

Score = Callable[[Sequence[Triplet]], Sequence[float]]
"""Returns the reward of each row."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How well a reward separates rows from their faulty copies.

    Attributes:
        rows: Rows that the fault could be made of.
        auc: Chance that a right row scores above a faulty one of any row; ties count half.
        paired: Chance that a row scores above its own faulty copy; ties count half.
        standard_error: Of ``paired``.
    """

    rows: int
    auc: float
    paired: float
    standard_error: float


def faulty(rows: Sequence[Triplet], seed: int) -> dict[str, list[tuple[Triplet, Triplet]]]:
    """Return pairs (row, faulty copy) by kind of fault; rows that it would not change are out."""
    made = {
        "swapped": _swapped(rows, seed),
        "truncated": [_truncated(row) for row in rows],
        "garbled": [_garbled(row, seed) for row in rows],
        "repeated": [_repeated(row) for row in rows],
        "echo": [row.input.strip() or row.instruction.strip() for row in rows],
    }
    return {
        kind: [
            (row, row._replace(output=output))
            for row, output in zip(rows, outputs, strict=True)
            if output and output != row.output
        ]
        for kind, outputs in made.items()
    }


def _swapped(rows: Sequence[Triplet], seed: int) -> list[str]:
    """Return the output of the next row in a drawn order."""
    order = shuffled(range(len(rows)), seed, "validity-swapped")
    after = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [rows[after[number]].output for number in range(len(rows))]


def _truncated(row: Triplet) -> str:
    words = row.output.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= FEWEST_WORDS else ""


def _garbled(row: Triplet, seed: int) -> str:
    words = row.output.split()
    if len(words) < FEWEST_WORDS:
        return ""
    return " ".join(shuffled(words, seed, "validity-garbled", row.output))


def _repeated(row: Triplet) -> str:
    words = row.output.split()
    return " ".join([*words, *words[:FEWEST_WORDS] * 4]) if words else ""


def separations(rows: Sequence[Triplet], score: Score, seed: int = 1) -> dict[str, Separation]:
    """Return how well ``score`` separates rows from each kind of fault that some row can have.

    Raises:
        DataError: For fewer than two rows.
    """
    if len(rows) < 2:
        raise DataError(f"validity needs at least 2 rows, {len(rows)} given")
    right = dict(zip(rows, score(rows), strict=True))
    table = {}
    for kind, pairs in faulty(rows, seed).items():
        if pairs:
            originals = [right[row] for row, _ in pairs]
            table[kind] = separation(originals, score([copy for _, copy in pairs]))
    return table


def separation(right: Sequence[float], wrong: Sequence[float]) -> Separation:
    """Return the comparison of scores; ``right[i]`` and ``wrong[i]`` belong to one row."""
    count = len(right)
    wins = sum(_above(good, bad) for good in right for bad in wrong)
    paired = sum(_above(good, bad) for good, bad in zip(right, wrong, strict=True)) / count
    return Separation(count, wins / count**2, paired, sqrt(paired * (1 - paired) / count))


def _above(score: float, other: float) -> float:
    return 1.0 if score > other else 0.5 if score == other else 0.0


def agreement(pairs: Sequence[tuple[Triplet, Triplet]], score: Score) -> Separation:
    """Return how often ``score`` prefers what people preferred, given as (better, worse)."""
    if not pairs:
        raise DataError("the preference file holds no pair")
    better = score([preferred for preferred, _ in pairs])
    return separation(better, score([other for _, other in pairs]))


def rank_correlation(
    rated: Sequence[tuple[Triplet, float]], score: Score
) -> tuple[int, float | None]:
    """Return the number of rated rows and Spearman's correlation of their ratings with scores."""
    scores = score([row for row, _ in rated])
    return len(rated), spearman(scores, [rating for _, rating in rated])


def warnings(table: Mapping[str, Separation]) -> list[str]:
    """Return a sentence for each fault that the reward hardly detects."""
    return [
        f"{kind}: a right answer scores above a faulty one in {fault.auc:.0%} of comparisons"
        + (", so the reward pays for this fault" if fault.auc < 0.5 else "")
        + "; keep the guards on, and watch it while training"
        for kind, fault in table.items()
        if fault.auc < WEAK
    ]
