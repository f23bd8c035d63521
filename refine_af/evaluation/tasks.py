"""Evaluation tasks, their questions and the set that a run asks."""

from dataclasses import dataclass
from typing import Literal

Track = Literal["default", "xlingual"]


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One question of a task; ``references`` are its accepted answers, at least one."""

    id: str
    input: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """A task with its instances in file order.

    Attributes:
        name: The file's name without ``.json``, or the row's ``task``.
        category: The first of ``Categories``.
        definition: The first of ``Definition``, as Tk-Instruct takes it.
        track: ``xlingual`` when a language field names anything but English.
        instances: At least one.
    """

    name: str
    category: str
    definition: str
    track: Track
    instances: tuple[TaskInstance, ...]


@dataclass(frozen=True, slots=True)
class TaskSet:
    """What was loaded, sorted by task name.

    Attributes:
        tasks: The tasks.
        files: SHA-256 of each file read, by file name.
        digest: SHA-256 over names, definitions, inputs and references: equal for the same content
            in another file format.
    """

    tasks: tuple[EvaluationTask, ...]
    files: dict[str, str]
    digest: str

    @property
    def count(self) -> int:
        """Return the number of instances."""
        return sum(len(task.instances) for task in self.tasks)
