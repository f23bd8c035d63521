"""Statistics that more than one folder needs."""

from collections import Counter
from collections.abc import Sequence
from math import comb, fsum, sqrt

import numpy as np
from numpy.typing import ArrayLike

# Student's t at 0.975 for 1 to 30 degrees of freedom; 1.96 beyond (NIST, table 1.3.6.7.2)
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.96


def ranks(values: ArrayLike) -> list[float]:
    """Return ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(
        np.asarray(values, float), return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    return [float(rank) for rank in ((2 * last - counts + 1) / 2)[inverse]]


def pearson(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return Pearson's correlation in [-1, 1]; None where either side does not vary."""
    ours, theirs = np.asarray(first, float), np.asarray(second, float)
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
    if scale < 1e-12:
        return None
    return float(np.clip(ours @ theirs / scale, -1.0, 1.0))


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return Pearson's correlation of the ranks; None where either side does not vary."""
    return pearson(ranks(first), ranks(second))


def cohens_kappa(first: Sequence[object], second: Sequence[object]) -> float | None:
    """Return (observed - chance) / (1 - chance); None when chance alone agrees on everything.

    Source: J. Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    count = len(first)
    observed = sum(ours == theirs for ours, theirs in zip(first, second, strict=True)) / count
    ours, theirs = Counter(first), Counter(second)
    chance = sum(ours[level] * theirs[level] for level in ours) / count**2
    return None if chance == 1.0 else (observed - chance) / (1.0 - chance)


def cohens_dz(differences: Sequence[float]) -> float | None:
    """Return the mean of paired differences over their standard deviation; None without spread."""
    if len(differences) < 2:
        return None
    mean = fsum(differences) / len(differences)
    variance = fsum((value - mean) ** 2 for value in differences) / (len(differences) - 1)
    return mean / sqrt(variance) if variance > 0 else None


def sign_test(wins: int, losses: int) -> float:
    """Return P(at least ``wins`` of ``wins + losses``) for a fair coin, exactly rounded."""
    total = wins + losses
    return sum(comb(total, count) for count in range(wins, total + 1)) / (1 << total)


def students_t(degrees: int) -> float:
    """Return the quantile of Student's t at 0.975, half of a 95 % interval's width in errors."""
    return _T[degrees - 1] if degrees <= len(_T) else _NORMAL
