"""The sheet for raters: answers of several arms in one shuffled list that hides the arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refine_af.contracts.errors import DataError
from refine_af.contracts.randomness import derive, shuffled
from refine_af.contracts.records import Prediction
from refine_af.evaluation.tasks import EvaluationTask

LEVELS = {
    "A": "correct and satisfying",
    "B": "acceptable, with minor errors or imperfections",
    "C": "responds to the instruction, with significant errors",
    "D": "irrelevant or invalid, or no answer",
}
"""Self-Instruct's four levels, best first."""


@dataclass(frozen=True, slots=True)
class Item:
    """One answer to rate.

    Attributes:
        id: Says nothing of arm or task; the same for the same seed, task and arm.
        instruction: What was asked.
        input: What it was asked about; may be empty.
        answer: What the arm's model wrote.
        task: Name of the task, for the key only.
        instance: Id of its instance, for the key only.
        arm: Whose answer it is, for the key only.
    """

    id: str
    instruction: str
    input: str
    answer: str
    task: str
    instance: str
    arm: str


def make_sheet(
    tasks: Sequence[EvaluationTask],
    arms: Mapping[str, Sequence[Prediction]],
    *,
    seed: int,
    count: int = 0,
) -> list[Item]:
    """Return the items in the order in which they are rated.

    Args:
        tasks: What was asked.
        arms: Answers by arm; every arm must have answered every chosen question.
        seed: Of the choice, the order and the ids.
        count: Questions, chosen at random; 0 takes all.

    Raises:
        DataError: When an arm lacks an answer to a chosen question.
    """
    questions = [(task, instance) for task in tasks for instance in task.instances]
    if count:
        questions = shuffled(questions, seed, "rated-questions")[:count]
    answers = {
        arm: {(row.task, row.instance): row.prediction for row in rows}
        for arm, rows in arms.items()
    }
    items = []
    for task, instance in questions:
        for arm, arm_answers in answers.items():
            if (task.name, instance.id) not in arm_answers:
                raise DataError(
                    f"arm {arm!r} has no answer to instance {instance.id!r} of task {task.name!r};"
                    " evaluate every arm on the same tasks"
                )
            name = _item_id(seed, task.name, instance.id, arm)
            answer = arm_answers[task.name, instance.id]
            items.append(
                Item(name, task.definition, instance.input, answer, task.name, instance.id, arm)
            )
    if len({item.id for item in items}) != len(items):
        raise DataError("two items got one id; make the sheet with another --seed")
    return shuffled(items, seed, "rated-order")


def _item_id(seed: int, task: str, instance: str, arm: str) -> str:
    """Return a letter and digits: spreadsheet programs read digits alone, or 12e45, as numbers."""
    digits = f"{derive(seed, 'rated-item', task, instance, arm):016x}"
    return f"q{digits[-10:]}"
