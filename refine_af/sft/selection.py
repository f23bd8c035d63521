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
    the arms. Instructions come in the order of the sum of their ranks in all arms (ties by id),
    which is the files' own order where the files agree. A limit takes every instruction's first
    row before any second one, because many answers to few instructions are another kind of set.

    Args:
        arms: The arm to train, then those it is compared with.
        limit: Most rows; 0 takes all.

    Returns:
        Indices of the rows in the first arm, in training-set order, and the reason for each index
        that is left out.
    """
    grouped = [_fitting_indices(arm) for arm in arms]
    shared = [key for key in grouped[0] if all(key in group for group in grouped[1:])]
    ranks = [{key: rank for rank, key in enumerate(group)} for group in grouped]
    shared.sort(key=lambda key: (sum(rank[key] for rank in ranks), key))
    matched = [
        index
        for key in shared
        for index in grouped[0][key][: min(len(group[key]) for group in grouped)]
    ]
    kept = _limited(grouped[0], matched, limit) if limit else matched
    return kept, _reasons(arms[0], matched, kept)


def _limited(group: dict[str, list[int]], matched: Sequence[int], limit: int) -> list[int]:
    """Return at most ``limit`` indices, in their order, first rows of instructions first."""
    turn = {index: number for indices in group.values() for number, index in enumerate(indices)}
    taken = set(sorted(matched, key=turn.__getitem__)[:limit])
    return [index for index in matched if index in taken]


def _fitting_indices(arm: Arm) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = {}
    for index, (row, fits) in enumerate(zip(arm.rows, arm.fits, strict=True)):
        if fits:
            indices.setdefault(row.parents[0] if row.parents else row.id, []).append(index)
    return indices


def _reasons(arm: Arm, matched: Sequence[int], kept: Sequence[int]) -> dict[int, Reason]:
    in_every_arm, taken = set(matched), set(kept)
    reasons: dict[int, Reason] = {}
    for index, fits in enumerate(arm.fits):
        if not fits:
            reasons[index] = "too_long"
        elif index not in in_every_arm:
            reasons[index] = "unmatched"
        elif index not in taken:
            reasons[index] = "over_limit"
    return reasons


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
