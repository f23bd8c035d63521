"""The answers of all arms to one question beside each other and its references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refine_af.contracts.records import Prediction
from refine_af.reporting.inputs import ArmInputs

MOST_QUESTIONS = 800
"""Questions on one page: with texts of a few hundred characters it stays below 3 MB."""
MOST_PER_TASK = 8
SHOWN_ARMS = ("rl", "learned", "baseline", "best_of_n", "start")
"""Arms that come first, in this order; others follow."""


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """What one arm wrote, and its ROUGE-L in [0, 1]."""

    arm: str
    text: str
    rouge_l: float


@dataclass(frozen=True, slots=True)
class Question:
    """One evaluation instance.

    Attributes:
        instance: Its id within the task.
        input: What was asked about.
        references: Right answers.
        answers: One per arm.
        difference: First arm minus second, ROUGE-L in [-1, 1]; 0 with one arm.
        disagree: Whether the arms wrote different texts.
    """

    instance: str
    input: str
    references: tuple[str, ...]
    answers: tuple[ArmAnswer, ...]
    difference: float
    disagree: bool


@dataclass(frozen=True, slots=True)
class TaskQuestions:
    """Some questions of a task, the largest differences between the first two arms first.

    Attributes:
        task: Its name.
        category: Of the task; may be empty.
        questions: At most :data:`MOST_PER_TASK`.
        left_out: Questions of the task that are not shown.
        scores: Mean ROUGE-L in [0, 1] by arm, over all questions of the task.
        difference: First arm minus second, of these means.
    """

    task: str
    category: str
    questions: tuple[Question, ...]
    left_out: int
    scores: Mapping[str, float]
    difference: float


def side_by_side(arms: Mapping[str, Sequence[Prediction]]) -> list[TaskQuestions]:
    """Return every task, those that changed most first: gains, then losses, then ties.

    Args:
        arms: Predictions by arm; arms without any are left out.
    """
    names = _ordered([name for name, rows in arms.items() if rows])
    by_task: dict[str, dict[str, dict[str, Prediction]]] = {}
    for name in names:
        for row in arms[name]:
            by_task.setdefault(row.task, {}).setdefault(row.instance, {})[name] = row
    most = max(1, min(MOST_PER_TASK, MOST_QUESTIONS // max(1, len(by_task))))
    tasks = [_task(task, rows, names, most) for task, rows in by_task.items()]
    return sorted(tasks, key=lambda task: (-abs(task.difference), task.task))


def predictions_of(arms: Mapping[str, ArmInputs]) -> dict[str, Sequence[Prediction]]:
    """Return the predictions of a report's arms."""
    return {name: arm.predictions for name, arm in arms.items()}


def _ordered(names: Sequence[str]) -> list[str]:
    first = [name for name in SHOWN_ARMS if name in names]
    return [*first, *(name for name in names if name not in first)]


def _task(
    task: str, rows: Mapping[str, Mapping[str, Prediction]], names: Sequence[str], most: int
) -> TaskQuestions:
    questions = [_question(instance, by_arm, names) for instance, by_arm in rows.items()]
    ranked = sorted(questions, key=lambda question: (-question.difference, question.instance))
    shown = _best_and_worst(ranked, most)
    means = {
        name: sum(scores) / len(scores)
        for name in names
        if (scores := [by_arm[name].rouge_l for by_arm in rows.values() if name in by_arm])
    }
    first, second = ([*means.values(), 0.0, 0.0])[:2]
    category = next(iter(next(iter(rows.values())).values())).category
    return TaskQuestions(
        task=task,
        category=category,
        questions=tuple(shown),
        left_out=len(questions) - len(shown),
        scores=means,
        difference=first - second if len(means) > 1 else 0.0,
    )


def _best_and_worst(ranked: list[Question], most: int) -> list[Question]:
    """Return the largest differences, gains and losses in turn, gains first in the result."""
    if len(ranked) <= most:
        return ranked
    losses = most // 2
    return [*ranked[: most - losses], *(ranked[-losses:] if losses else [])]


def _question(instance: str, by_arm: Mapping[str, Prediction], names: Sequence[str]) -> Question:
    answers = [
        ArmAnswer(name, by_arm[name].prediction, by_arm[name].rouge_l)
        for name in names
        if name in by_arm
    ]
    some = next(iter(by_arm.values()))
    compared = len(answers) > 1
    return Question(
        instance=instance,
        input=some.input,
        references=tuple(some.references),
        answers=tuple(answers),
        difference=answers[0].rouge_l - answers[1].rouge_l if compared else 0.0,
        disagree=len({answer.text.strip() for answer in answers}) > 1,
    )
