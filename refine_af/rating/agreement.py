"""How far two raters agree: over the four levels, over good and bad, and in rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from refine_af.statistics import cohens_kappa, spearman

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
        equal=sum(ours == theirs for ours, theirs in zip(first, second, strict=True)) / count,
        kappa=cohens_kappa(first, second),
        kappa_good=cohens_kappa(*good),
        spearman=spearman([RANK[rating] for rating in first], [RANK[rating] for rating in second]),
    )
