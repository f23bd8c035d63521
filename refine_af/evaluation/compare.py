"""The paired comparison of two arms, task by task: the paper's claim as a number with its noise.

The paper counts the tasks on which one arm's mean ROUGE-L is above the other's. It states no rule
for ties and no interval; here ties stand apart, and a bootstrap interval, an exact sign test and
effect sizes stand beside the share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

import numpy as np

from refine_af.contracts.errors import ParameterError
from refine_af.evaluation.fairness import Arm, Refusal, by_instance, differences
from refine_af.evaluation.intervals import TIE, Floats, Intervals, intervals
from refine_af.evaluation.summary import category_key
from refine_af.statistics import cohens_dz, sign_test

Metric = Literal["rouge_l", "exact_match"]
Outcome = Literal["win", "tie", "loss"]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task: means in [0, 1] of both arms over the same ``count`` instances."""

    task: str
    category: str
    count: int
    first: float
    second: float
    outcome: Outcome

    @property
    def difference(self) -> float:
        """Return first minus second."""
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class CategoryEffect:
    """One category, over its tasks and instances.

    Attributes:
        category: Official key.
        tasks: Number of tasks.
        wins: Tasks won by the first arm.
        ties: Tasks with equal means.
        losses: Tasks lost.
        mean_difference: Mean over tasks of the difference of their means, in [-1, 1].
        effect_size: Cohen's d_z: mean of the paired differences of all instances over their
            standard deviation (n - 1); None when that is 0 or there is one instance.
    """

    category: str
    tasks: int
    wins: int
    ties: int
    losses: int
    mean_difference: float
    effect_size: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first arm against the second.

    Attributes:
        first: Name of the arm whose wins are counted.
        second: The other.
        metric: What decides a task.
        wins: Tasks on which the first arm's mean is higher.
        ties: Tasks whose means are equal.
        losses: Tasks on which it is lower.
        win_share: Wins over tasks that are not tied; None when all are.
        win_share_all: Wins over all tasks.
        mean_difference: Mean over tasks of the difference of their means, in [-1, 1].
        p_greater: Exact one-sided sign test: chance of at least so many wins among the decided
            tasks when both outcomes are equally likely; 1 when no task is decided.
        p_two_sided: Twice the smaller tail, at most 1.
        intervals: Bootstrap intervals, see ``bootstrap``.
        confidence: Of the intervals.
        tasks: Per task, by name.
        categories: Per category, by name.
    """

    first: str
    second: str
    metric: Metric
    wins: int
    ties: int
    losses: int
    win_share: float | None
    win_share_all: float
    mean_difference: float
    p_greater: float
    p_two_sided: float
    intervals: Intervals
    confidence: float
    tasks: tuple[TaskResult, ...]
    categories: tuple[CategoryEffect, ...]


def compare(
    first: Arm,
    second: Arm,
    *,
    seed: int,
    metric: Metric = "rouge_l",
    resamples: int = 2000,
    confidence: float = 0.95,
    may_differ: Sequence[str] = (),
) -> Comparison | Refusal:
    """Compare two arms, or list what makes the comparison unfair.

    Args:
        first: The arm whose wins are counted.
        second: The arm that it is compared with.
        seed: Of the bootstrap.
        metric: What decides a task.
        resamples: Of the bootstrap; 119 tasks x 100 instances x 2,000 take about a second.
        confidence: Of the intervals, in (0, 1).
        may_differ: Names of settings that are the point of the comparison, such as ``sft.seed``
            in an A/A comparison of one arm with two seeds.

    Raises:
        ParameterError: For a confidence outside (0, 1) or no resample.
        DataError: For an arm without predictions or with two for one instance.
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ParameterError(
            f"confidence is {confidence}, resamples {resamples}; they must be in (0, 1) and >= 1"
        )
    unfair = differences(first, second, may_differ=may_differ)
    if unfair:
        return Refusal(first.name, second.name, unfair)
    paired = _paired(first, second, metric)
    deltas = {task: ours - theirs for task, _, ours, theirs in paired}
    bounds = intervals(list(deltas.values()), seed, resamples, confidence)
    tasks = tuple(_task_result(*item) for item in paired)
    return _comparison((first.name, second.name), metric, tasks, deltas, bounds, confidence)


def _comparison(
    names: tuple[str, str],
    metric: Metric,
    tasks: tuple[TaskResult, ...],
    deltas: Mapping[str, Floats],
    bounds: Intervals,
    confidence: float,
) -> Comparison:
    outcomes = [task.outcome for task in tasks]
    wins, ties, losses = (outcomes.count(word) for word in ("win", "tie", "loss"))
    decided = wins + losses
    return Comparison(
        first=names[0],
        second=names[1],
        metric=metric,
        wins=wins,
        ties=ties,
        losses=losses,
        win_share=wins / decided if decided else None,
        win_share_all=wins / len(tasks),
        mean_difference=fsum(task.difference for task in tasks) / len(tasks),
        p_greater=sign_test(wins, losses),
        p_two_sided=min(1.0, 2 * min(sign_test(wins, losses), sign_test(losses, wins))),
        intervals=bounds,
        confidence=confidence,
        tasks=tasks,
        categories=_categories(tasks, deltas),
    )


def _paired(first: Arm, second: Arm, metric: Metric) -> list[tuple[str, str, Floats, Floats]]:
    """Return (task, category, [n_t] scores of first, [n_t] of second), tasks by name."""
    ours, theirs = by_instance(first), by_instance(second)
    groups: dict[str, list[tuple[str, str]]] = {}
    for key in sorted(ours):
        groups.setdefault(key[0], []).append(key)
    return [
        (
            task,
            category_key(ours[keys[0]].category),
            np.array([getattr(ours[key], metric) for key in keys], dtype=np.float64),
            np.array([getattr(theirs[key], metric) for key in keys], dtype=np.float64),
        )
        for task, keys in groups.items()
    ]


def _task_result(task: str, category: str, ours: Floats, theirs: Floats) -> TaskResult:
    count = len(ours)
    # fsum, so that equal scores in another order are a tie.
    first, second = fsum(ours) / count, fsum(theirs) / count
    outcome: Outcome = "tie"
    if abs(first - second) > TIE:
        outcome = "win" if first > second else "loss"
    return TaskResult(task, category, count, first, second, outcome)


def _categories(
    tasks: Sequence[TaskResult], deltas: Mapping[str, Floats]
) -> tuple[CategoryEffect, ...]:
    groups: dict[str, list[TaskResult]] = {}
    for task in tasks:
        groups.setdefault(task.category, []).append(task)
    return tuple(_category(name, groups[name], deltas) for name in sorted(groups))


def _category(
    name: str, tasks: Sequence[TaskResult], deltas: Mapping[str, Floats]
) -> CategoryEffect:
    outcomes = [task.outcome for task in tasks]
    values = [float(value) for task in tasks for value in deltas[task.task]]
    return CategoryEffect(
        category=name,
        tasks=len(tasks),
        wins=outcomes.count("win"),
        ties=outcomes.count("tie"),
        losses=outcomes.count("loss"),
        mean_difference=fsum(task.difference for task in tasks) / len(tasks),
        effect_size=cohens_dz(values),
    )
