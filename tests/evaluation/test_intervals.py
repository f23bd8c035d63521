"""Intervals over seeds and tasks, where they can be worked out by hand."""

import numpy as np
import pytest

from refine_af.evaluation.intervals import crossed_intervals


def test_equal_differences_leave_nothing_to_draw() -> None:
    share, mean = crossed_intervals(np.full((3, 5), 0.25), seed=1, resamples=50)
    assert (share.low, share.high) == (1.0, 1.0)
    assert (mean.low, mean.high) == (0.25, 0.25)


def test_tasks_vary_within_one_seed() -> None:
    # two tasks drawn of +1 and -1: the mean is -1, 0, 0 or +1, each a quarter of the time
    share, mean = crossed_intervals(np.array([[1.0, -1.0]]), seed=1, resamples=400)
    assert (mean.low, mean.high) == (-1.0, 1.0)
    assert (share.low, share.high) == (0.0, 1.0)


def test_seeds_vary_too() -> None:
    # seeds drawn of 0.2 and 0.0: the mean is 0, 0.1, 0.1 or 0.2; a tied task has no share
    share, mean = crossed_intervals(np.array([[0.2], [0.0]]), seed=1, resamples=400)
    assert mean.low == 0.0
    assert mean.high == pytest.approx(0.2)
    assert (share.low, share.high) == (1.0, 1.0)


def test_a_task_is_decided_by_its_mean_over_the_seeds() -> None:
    # seed 1 wins by 0.3 and seed 2 loses by 0.1: a quarter of the draws of seeds is lost
    deltas = np.tile([[0.3], [-0.1]], (1, 40))
    share, mean = crossed_intervals(deltas, seed=1, resamples=400)
    assert (share.low, share.high) == (0.0, 1.0)
    assert mean.low == pytest.approx(-0.1)
    assert mean.high == pytest.approx(0.3)


def test_no_decided_task_has_no_share() -> None:
    share, mean = crossed_intervals(np.zeros((2, 3)), seed=1, resamples=20)
    assert share.low is None
    assert share.high is None
    assert (mean.low, mean.high) == (0.0, 0.0)


def test_the_same_seed_draws_the_same() -> None:
    deltas = np.random.default_rng(3).normal(size=(3, 20))
    assert crossed_intervals(deltas, seed=5, resamples=30) == crossed_intervals(
        deltas, seed=5, resamples=30
    )
