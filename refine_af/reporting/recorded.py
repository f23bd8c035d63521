"""Reads what a run's tasks left, from folders of records; all of it optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.contracts.jsonl import RowType, parse_object
from refine_af.contracts.records import Rejected
from refine_af.contracts.stored_rows import JoinedRows, stored_objects, stored_rows
from refine_af.storage.task_records import tasks_below


class Recorded:
    """The tasks of a run, by the names of their folders (``evaluate-rl``).

    What a task or a file is asked for that is not there is empty.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read from ``folders``; a task of a later folder stands for that of an earlier one."""
        self._tasks = {task.name: task for folder in folders for task in tasks_below(folder)}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __contains__(self, task: str) -> bool:
        return task in self._tasks

    def tasks(self) -> list[str]:
        """Return the names of all tasks."""
        return list(self._tasks)

    def labels(self, stage: str) -> list[str]:
        """Return the labels of a stage's tasks that have one, sorted."""
        start = f"{stage}-"
        return sorted(name.removeprefix(start) for name in self._tasks if name.startswith(start))

    def path(self, task: str, name: str) -> Path | None:
        """Return a task's file."""
        path = self._tasks.get(task, Path("/nowhere")) / name
        return path if path.is_file() else None

    def rows(self, task: str, name: str, kind: type[RowType]) -> Sequence[RowType]:
        """Return the records of a file; they stay in it."""
        path = self.path(task, name)
        return stored_rows(path, kind) if path else []

    def objects(self, task: str, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the lines of a file; they stay in it."""
        path = self.path(task, name)
        return stored_objects(path) if path else []

    def rejections(self, *tasks: str) -> Sequence[Rejected]:
        """Return what tasks dropped; the filter keeps the whole row beside it, left out here."""
        paths = [path for task in tasks if (path := self.path(task, "rejected"))]
        return JoinedRows([stored_rows(path, Rejected, unique=False) for path in paths])

    def json(self, task: str, name: str) -> dict[str, Any]:
        """Return the object of a file.

        Raises:
            DataError: When it is something else.
        """
        path = self.path(task, name)
        return parse_object(path.read_bytes(), f"{task}/{name}: {path}") if path else {}
