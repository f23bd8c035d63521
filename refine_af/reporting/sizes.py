"""Scores over data size: models of one arm, each trained on the first rows of the next larger."""

from collections.abc import Mapping
from dataclasses import dataclass

from refine_af.contracts.records import Prediction
from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm
from refine_af.evaluation.summary import summarise
from refine_af.reporting.inputs import ReportInputs

FIRST, SECOND = "rl", "baseline"


@dataclass(frozen=True, slots=True)
class Size:
    """One number of training rows.

    Attributes:
        rows: Machine-written instances trained on.
        scores: Mean ROUGE-L over instances in [0, 1], by arm.
        result: ``rl`` against ``baseline``; None where one of them is missing.
    """

    rows: int
    scores: Mapping[str, float]
    result: Comparison | None


@dataclass(frozen=True, slots=True)
class Curve:
    """All sizes, rising; the last is the whole data. ``arms`` are those with a score."""

    arms: tuple[str, ...]
    sizes: tuple[Size, ...]


def find_curve(inputs: ReportInputs) -> Curve | None:
    """Return the curve, or None when no smaller size was asked for.

    A pair of subsets is compared only where both arms have it; the whole data's own comparison,
    with its check of the settings, is the report's answer.
    """
    if not inputs.sizes:
        return None
    answers: dict[int, dict[str, list[Prediction]]] = {}
    for point in inputs.sizes:
        answers.setdefault(point.rows, {})[point.arm] = list(point.predictions)
    arms = tuple(
        name for name in (FIRST, SECOND) if any(name in by_arm for by_arm in answers.values())
    )
    for name in arms:
        arm = inputs.arms.get(name)
        rows = sum(not row["cut"] and row["source"] == "instance" for row in arm.used) if arm else 0
        if arm and rows and arm.predictions:
            answers.setdefault(rows, {})[name] = list(arm.predictions)
    return Curve(arms, tuple(_size(inputs, rows, answers[rows]) for rows in sorted(answers)))


def _size(inputs: ReportInputs, rows: int, answers: Mapping[str, list[Prediction]]) -> Size:
    result = None
    if {FIRST, SECOND} <= set(answers):
        first, second = (Arm(name, answers[name]) for name in (FIRST, SECOND))
        comparison = compare(first, second, seed=inputs.seed, resamples=inputs.resamples)
        result = comparison if isinstance(comparison, Comparison) else None
    scores = {name: summarise(predictions).overall.rouge_l for name, predictions in answers.items()}
    return Size(rows, scores, result)
