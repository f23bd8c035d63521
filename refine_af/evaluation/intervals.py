"""Intervals of a paired comparison by a two-level bootstrap: tasks, then instances in each.

Over several seeds of a whole study: seeds and tasks (:func:`crossed_intervals`).

Legend: B resamples, S seeds, T tasks, n_t instances of task t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_af.contracts.randomness import derive

Floats = npt.NDArray[np.float64]

TIE = 1e-9
"""Task means closer than this are a tie: far above float rounding, far below one answer's weight
(the least difference of two real scores over 10,000 instances is some 1e-8)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile interval; both ends are None when no resample defines the number."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of one comparison.

    Attributes:
        win_share: Wins over tasks that are not tied.
        win_share_all: Wins over all tasks.
        mean_difference: Mean over tasks of the difference of their means, in [-1, 1].
    """

    win_share: Interval
    win_share_all: Interval
    mean_difference: Interval


def intervals(
    differences: Sequence[Floats], seed: int, resamples: int, confidence: float
) -> Intervals:
    """Return percentile intervals over resampled tasks and, within each, resampled instances.

    A task drawn twice has its instances drawn anew each time. Instances are noise within a task,
    so the task means of a resample spread more than the ones measured: intervals are wide rather
    than narrow, and a share near 0 or 1 is pulled towards the middle (it may even lie outside its
    own interval when every task is decided by a hair).

    Args:
        differences: Per task, [n_t] differences of the paired scores.
        seed: Resample b is drawn from (seed, b) alone.
        resamples: B; time and memory grow as B times the number of instances, one B at a time.
        confidence: Share of resamples inside, such as 0.95.
    """
    sizes = np.array([len(item) for item in differences])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    flat = np.concatenate(list(differences))
    means = [
        _resampled_means(flat, starts, sizes, derive(seed, "bootstrap", number))
        for number in range(resamples)
    ]
    table = np.stack(means)  # [B, T]
    wins = (table > TIE).sum(axis=1)
    losses = (table < -TIE).sum(axis=1)
    decided = wins + losses
    shares = wins[decided > 0] / decided[decided > 0]
    return Intervals(
        win_share=_percentiles(shares, confidence),
        win_share_all=_percentiles(wins / table.shape[1], confidence),
        mean_difference=_percentiles(table.mean(axis=1), confidence),
    )


def crossed_intervals(
    differences: Floats, seed: int, *, resamples: int = 2000, confidence: float = 0.95
) -> tuple[Interval, Interval]:
    """Return intervals of the win share of decided tasks and of the mean difference, over seeds.

    Every seed answers the same tasks, so a resample draws seeds and, apart from that, tasks. A
    task's mean over the drawn seeds decides it. With one seed only the tasks vary; with a handful
    of seeds their part is rough, because a handful has few different resamples.

    Args:
        differences: Mean differences of the paired scores, [S, T].
        seed: Resample b is drawn from (seed, b) alone.
        resamples: B.
        confidence: Share of resamples inside.

    Source: A. Owen, "The pigeonhole bootstrap", 2007.
    """
    seeds, tasks = differences.shape
    shares, means = [], []
    for number in range(resamples):
        bits = np.random.Philox(key=derive(seed, "crossed-bootstrap", number))
        rows = _below(bits, np.full(seeds, seeds))
        columns = _below(bits, np.full(tasks, tasks))
        drawn = differences[rows][:, columns].mean(axis=0)  # [T]
        wins, losses = int((drawn > TIE).sum()), int((drawn < -TIE).sum())
        means.append(float(drawn.mean()))
        if wins + losses:
            shares.append(wins / (wins + losses))
    return _percentiles(np.array(shares), confidence), _percentiles(np.array(means), confidence)


def _resampled_means(
    flat: Floats, starts: npt.NDArray[Any], sizes: npt.NDArray[Any], key: int
) -> Floats:
    # Raw Philox words, because NumPy keeps a bit generator's stream from version to version and
    # a Generator's methods not.
    bits = np.random.Philox(key=key)
    tasks = _below(bits, np.full(len(sizes), len(sizes)))
    counts = sizes[tasks]
    bounds = np.concatenate([[0], np.cumsum(counts)[:-1]])
    indices = _below(bits, np.repeat(counts, counts)) + np.repeat(starts[tasks], counts)
    result: Floats = np.add.reduceat(flat[indices], bounds) / counts
    return result


def _below(bits: np.random.Philox, limits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return one uniform integer in [0, limit) per limit, from the upper 53 bits of each word."""
    raw = np.asarray(bits.random_raw(len(limits)))
    below: npt.NDArray[np.int64] = ((raw >> np.uint64(11)) * 2.0**-53 * limits).astype(np.int64)
    return below


def _percentiles(values: npt.NDArray[Any], confidence: float) -> Interval:
    if not len(values):
        return Interval(None, None)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return Interval(float(low), float(high))
