"""How far two raters agree: over the four levels, over good and bad, and in rank."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

RANK = {"A": 4, "B": 3, "C": 2, "D": 1}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two raters over the ``items`` that both rated; None where it is not defined.

    Attributes:
        items: Rated by both.
        equal: Share with equal levels, in [0, 1].
        kappa: Cohen's kappa over the four levels.
        kappa_good: Cohen's kappa of {A, B} against {C, D}.
        spearman: Rank correlation of the levels, ties at their mean rank.
    """

    items: int
    equal: float | None
    kappa: float | None
    kappa_good: float | None
    spearman: float | None


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """Return the agreement of two equally long lists of levels."""
    count = len(first)
    if not count:
        return Agreement(0, None, None, None, None)
    good = [[level in "AB" for level in levels] for levels in (first, second)]
    return Agreement(
        items=count,
        equal=sum(one == other for one, other in zip(first, second, strict=True)) / count,
        kappa=cohens_kappa(first, second),
        kappa_good=cohens_kappa(*good),
        spearman=spearman([RANK[one] for one in first], [RANK[one] for one in second]),
    )


def cohens_kappa(first: Sequence[object], second: Sequence[object]) -> float | None:
    """Return (observed - chance) / (1 - chance); None when chance alone agrees on everything.

    Source: J. Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    count = len(first)
    observed = sum(one == other for one, other in zip(first, second, strict=True)) / count
    ours, theirs = Counter(first), Counter(second)
    chance = sum(ours[level] * theirs[level] for level in ours) / count**2
    return None if chance == 1.0 else (observed - chance) / (1.0 - chance)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Pearson's correlation of the ranks; None when one list has a single value."""
    ours, theirs = _ranks(first), _ranks(second)
    mean = (len(ours) + 1) / 2
    cross = sum((a - mean) * (b - mean) for a, b in zip(ours, theirs, strict=True))
    spread = sqrt(sum((a - mean) ** 2 for a in ours) * sum((b - mean) ** 2 for b in theirs))
    return cross / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1; equal values share the mean of their places."""
    order = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(order, start=1)))}
    counts = Counter(values)
    return [first[value] + (counts[value] - 1) / 2 for value in values]
