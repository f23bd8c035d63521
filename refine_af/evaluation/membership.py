"""Membership inference: do a model's losses reveal which rows it was trained on?

Sources: calibrated loss attack (Watson et al., arXiv 2111.08440); why to report the true-positive
rate at a low false-positive rate, and offline LiRA's one-reference form (Carlini et al.,
arXiv 2112.03570). AUC 0.5 is a coin; clearly below 0.5 means that members and non-members differ
in more than membership.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_af.contracts.errors import DataError
from refine_af.contracts.randomness import derive

LOW_FALSE_POSITIVES = 0.01
BROKEN_SPLIT = 0.48
LEAST_ROWS = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack; a higher score means "member".

    Attributes:
        auc: Area under the ROC curve: chance that a member scores above a non-member, ties half.
        low: Lower end of the 95 % bootstrap interval, members and non-members resampled apart.
        high: Upper end.
        tpr_at_1_percent: Largest share of members found with at most 1 % of non-members taken for
            members; with fewer than 100 non-members that allows none of them.
        warning: Empty, or what is wrong with the split.
    """

    auc: float
    low: float
    high: float
    tpr_at_1_percent: float
    warning: str


def attack(
    members: Sequence[float], others: Sequence[float], seed: int, resamples: int = 1000
) -> Attack:
    """Return how well scores separate members from others.

    Args:
        members: Scores of rows that were trained on.
        others: Scores of rows that were not, of the same origin.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.

    Raises:
        DataError: Fewer than 10 rows on one side.
    """
    inside, outside = np.asarray(members, dtype=float), np.asarray(others, dtype=float)
    if min(len(inside), len(outside)) < LEAST_ROWS:
        raise DataError(
            f"{len(inside)} members and {len(outside)} held-out rows; an audit needs at least"
            f" {LEAST_ROWS} of each: raise generate_responses.held_out_share"
        )
    source = np.random.default_rng(derive(seed, "membership-bootstrap"))
    resampled = [
        auc(
            inside[source.integers(0, len(inside), len(inside))],
            outside[source.integers(0, len(outside), len(outside))],
        )
        for _ in range(resamples)
    ]
    low, high = (float(bound) for bound in np.quantile(resampled, [0.025, 0.975]))
    area = auc(inside, outside)
    warning = ""
    if area < BROKEN_SPLIT:
        warning = (
            f"AUC {area:.3f} is below {BROKEN_SPLIT}: worse than a coin. Members and held-out rows"
            " then differ in more than membership, or are few; no claim of privacy follows."
        )
    return Attack(area, low, high, tpr_at(inside, outside, LOW_FALSE_POSITIVES), warning)


def auc(members: Floats, others: Floats) -> float:
    """Return the chance that a member scores above another, ties half; O(n log n)."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, members, "left")
    upto = np.searchsorted(ranked, members, "right")
    return float((below + upto).mean() / (2 * len(others)))


def tpr_at(members: Floats, others: Floats, false_positives: float) -> float:
    """Return the largest share of members above a threshold that so few others pass."""
    allowed = int(false_positives * len(others))
    threshold = np.sort(others)[::-1][allowed] if allowed < len(others) else -np.inf
    return float((members > threshold).mean())


def audit(
    losses: Mapping[str, tuple[Sequence[float], Sequence[float]]], seed: int, resamples: int = 1000
) -> dict[str, dict[str, Any]]:
    """Return each attack's numbers, ready for JSON.

    Args:
        losses: Mean loss per completion token of (members, others) by model: ``target`` and
            ``base`` are needed, ``reference`` (trained on other rows of the same origin) is not.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """
    target = [np.asarray(sample, dtype=float) for sample in losses["target"]]
    attacks = {"loss": attack(list(-target[0]), list(-target[1]), seed, resamples)}
    for name, attacked in (("base", "calibrated_loss"), ("reference", "reference_model")):
        if name in losses:
            other = [np.asarray(sample, dtype=float) for sample in losses[name]]
            members, others = list(other[0] - target[0]), list(other[1] - target[1])
            attacks[attacked] = attack(members, others, seed, resamples)
    return {name: asdict(result) for name, result in attacks.items()}
