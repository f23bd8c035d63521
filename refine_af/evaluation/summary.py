"""Scores of many answers: per task, per category and overall."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from refine_af.contracts.records import Prediction


@dataclass(frozen=True, slots=True)
class Score:
    """Means over ``count`` instances, in [0, 1]."""

    rouge_l: float
    exact_match: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores by group. Tasks and categories are in alphabetical order.

    ``overall`` is the mean over instances, not over tasks, as the official script does; the two
    differ when tasks have different numbers of instances.
    """

    overall: Score
    per_task: dict[str, Score]
    per_category: dict[str, Score]


def category_key(category: str) -> str:
    """Return the official key of a category: ``Data to Text`` becomes ``data_to_text``."""
    return category.lower().replace(" ", "_")


def summarise(predictions: Sequence[Prediction]) -> Summary:
    """Return the mean scores of the predictions; their order does not matter."""
    return Summary(
        overall=_mean(predictions),
        per_task=_by_group(predictions, [row.task for row in predictions]),
        per_category=_by_group(predictions, [category_key(row.category) for row in predictions]),
    )


def official(summary: Summary) -> dict[str, dict[str, dict[str, float]]]:
    """Return the summary as the official script prints it: times 100, four decimals."""
    groups = {
        "overall": {"overall": summary.overall},
        "per_category": summary.per_category,
        "per_task": summary.per_task,
    }
    return {
        group: {
            name: {
                "exact_match": round(100.0 * score.exact_match, 4),
                "rougeL": round(100.0 * score.rouge_l, 4),
                "n": score.count,
            }
            for name, score in scores.items()
        }
        for group, scores in groups.items()
    }


def _by_group(predictions: Sequence[Prediction], keys: list[str]) -> dict[str, Score]:
    groups: dict[str, list[Prediction]] = {}
    for key, row in zip(keys, predictions, strict=True):
        groups.setdefault(key, []).append(row)
    return {key: _mean(groups[key]) for key in sorted(groups)}


def _mean(rows: Sequence[Prediction]) -> Score:
    count = len(rows)
    if not count:
        return Score(0.0, 0.0, 0)
    # fsum rounds once, so a different order of the same rows cannot move a mean.
    return Score(
        rouge_l=fsum(row.rouge_l for row in rows) / count,
        exact_match=fsum(row.exact_match for row in rows) / count,
        count=count,
    )
