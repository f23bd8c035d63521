"""Selection of scored rows by threshold or by rank; the others are kept with their reason.

Never used in the paired arms: there ``score_rewards`` only measures, so that the arms differ in
nothing but the tuned policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refine_af.contracts.errors import ParameterError

Reason = Literal["below_threshold", "below_top_k"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that was not chosen.

    Attributes:
        position: Its index in the input.
        reason: The rule that dropped it.
        detail: What the rule asked for, for people.
    """

    position: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Positions of the chosen rows, in input order, and the dropped ones, in input order."""

    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]


def select(
    totals: Sequence[float], *, threshold: float | None = None, top_k: int | None = None
) -> Selection:
    """Choose rows whose total is at least ``threshold``, then the ``top_k`` best of them.

    Ties at the edge of ``top_k`` go to the earlier row. Asking for neither keeps every row.

    Raises:
        ParameterError: For a ``top_k`` below 1 or a threshold that is not a number.
    """
    if top_k is not None and top_k < 1:
        raise ParameterError(f"top_k is {top_k}; it must be 1 or more")
    if threshold is not None and threshold != threshold:
        raise ParameterError("threshold is NaN; it must be a number")
    passed = [
        index for index, total in enumerate(totals) if threshold is None or total >= threshold
    ]
    best = sorted(passed, key=lambda index: (-totals[index], index))
    kept = sorted(best if top_k is None else best[:top_k])
    dropped = _dropped(totals, set(kept), set(passed), threshold, top_k)
    return Selection(kept=tuple(kept), dropped=tuple(dropped))


def _dropped(
    totals: Sequence[float],
    kept: set[int],
    passed: set[int],
    threshold: float | None,
    top_k: int | None,
) -> list[Dropped]:
    dropped = []
    for index, total in enumerate(totals):
        if index not in passed:
            detail = f"total {total:.6g} is below the threshold {threshold:.6g}"
            dropped.append(Dropped(index, "below_threshold", detail))
        elif index not in kept:
            detail = f"total {total:.6g} is not among the best {top_k}"
            dropped.append(Dropped(index, "below_top_k", detail))
    return dropped
