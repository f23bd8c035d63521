"""Which rows are trained on, so that paired arms get the same instructions and counts.

The rule is symmetric: every arm that is given the same files, its own first, takes the same
instructions in the same order and the same number of rows of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refine_af.contracts.records import Instance, Row, Seed

Reason = Literal["", "too_long", "unmatched", "over_limit"]


class UsedRow(Row):
    """A row that was offered, and whether it was trained on.

    Attributes:
        parents: The row's own: the instruction, or the seed.
        source: ``instance`` (machine-written) or ``seed``.
        tokens: Of prompt and completion.
        completion_tokens: Those that the loss is taken on.
        cut: Whether the row was left out.
        reason: Why: ``too_long`` (over ``max_length``), ``unmatched`` (another arm has no row of
            this instruction left to pair it with), ``over_limit`` (beyond ``rows``).
    """

    source: Literal["instance", "seed"]
    tokens: int
    completion_tokens: int
    cut: bool
    reason: Reason = ""


@dataclass(frozen=True, slots=True)
class Arm:
    """The rows of one arm, and whether each fits into ``max_length``."""

    rows: Sequence[Instance]
    fits: Sequence[bool]


def choose(arms: Sequence[Arm], limit: int) -> tuple[list[int], dict[int, Reason]]:
    """Return what the first arm trains on.

    Per instruction, every arm takes its first k fitting rows, k being the smallest count among
    the arms. Instructions come in the order of the sum of their places in all arms (ties by id),
    which is the files' own order where the files agree. A limit takes every instruction's first
    row before any second one: many answers to few instructions are no small set of the same kind.

    Args:
        arms: The arm to train, then those it is compared with.
        limit: Most rows; 0 takes all.

    Returns:
        Places of the rows in the first arm, in training-set order, and the reason of each place
        that is left out.
    """
    grouped = [_fitting_places(arm) for arm in arms]
    shared = [key for key in grouped[0] if all(key in group for group in grouped[1:])]
    ranks = [{key: rank for rank, key in enumerate(group)} for group in grouped]
    shared.sort(key=lambda key: (sum(rank[key] for rank in ranks), key))
    matched = [
        place
        for key in shared
        for place in grouped[0][key][: min(len(group[key]) for group in grouped)]
    ]
    kept = _limited(grouped[0], matched, limit) if limit else matched
    return kept, _reasons(arms[0], matched, kept)


def _limited(group: dict[str, list[int]], matched: Sequence[int], limit: int) -> list[int]:
    """Return at most so many places, in their order, first rows of instructions first."""
    turn = {place: number for places in group.values() for number, place in enumerate(places)}
    taken = set(sorted(matched, key=turn.__getitem__)[:limit])
    return [place for place in matched if place in taken]


def _fitting_places(arm: Arm) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, (row, fits) in enumerate(zip(arm.rows, arm.fits, strict=True)):
        if fits:
            places.setdefault(row.parents[0] if row.parents else row.id, []).append(place)
    return places


def _reasons(arm: Arm, matched: Sequence[int], kept: Sequence[int]) -> dict[int, Reason]:
    in_every_arm, taken = set(matched), set(kept)
    found: dict[int, Reason] = {}
    for place, fits in enumerate(arm.fits):
        if not fits:
            found[place] = "too_long"
        elif place not in in_every_arm:
            found[place] = "unmatched"
        elif place not in taken:
            found[place] = "over_limit"
    return found


def seed_rows(seeds: Sequence[Seed]) -> list[Instance]:
    """Return every instance of every seed as a row whose parent is the seed, in order."""
    return [
        Instance.make(
            seed.id,
            seed.instruction,
            pair.input,
            pair.output,
            is_classification=seed.is_classification,
            sample=number,
        )
        for seed in seeds
        for number, pair in enumerate(seed.instances)
    ]
