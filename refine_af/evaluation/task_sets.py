"""Loads a set of evaluation tasks from files and folders, and identifies it by a digest."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from refine_af.contracts.errors import DataError, nearest
from refine_af.evaluation.task_files import read_task_file
from refine_af.evaluation.tasks import EvaluationTask, TaskSet
from refine_af.storage.atomic import disk_errors
from refine_af.storage.manifest import require_regular

FIRST_INSTANCES = 100
"""The official test set: the first 100 of each file, which are label-balanced on purpose."""


def load_tasks(sources: Sequence[Path], *, first: int = FIRST_INSTANCES) -> TaskSet:
    """Return the tasks of files and directories.

    Args:
        sources: Task files (``.json``), row files (``.jsonl``, ``.jsonl.gz``) or directories of
            them; a directory is read without its subdirectories. A ``.txt`` names one task per
            line, whose ``.json`` files lie beside it or, as those of the official repository's
            ``splits/default/test_tasks.txt``, in the folder ``tasks`` two levels up.
        first: Most instances per task, counted from the start of its file.

    Raises:
        DataError: For a file of another shape, a task or instance met twice, a listed task that
            is missing, or nothing to load.
    """
    by_name: dict[str, EvaluationTask] = {}
    files: dict[str, str] = {}
    for path in task_files(sources):
        data = path.read_bytes()
        files[path.name] = hashlib.sha256(data).hexdigest()
        for task in read_task_file(path, data, first):
            if task.name in by_name:
                raise DataError(
                    f"{path}: the task {task.name!r} was already read; keep one of them"
                )
            by_name[task.name] = task
    if not by_name:
        paths = ", ".join(str(source) for source in sources)
        raise DataError(f"{paths}: no task found; give .json, .jsonl or .jsonl.gz task files")
    tasks = tuple(by_name[name] for name in sorted(by_name))
    _refuse_shared_ids(tasks)
    return TaskSet(tasks=tasks, files=files, digest=_digest(tasks))


def evaluation_texts(source: Path) -> list[tuple[str, str]]:
    """Return names and texts that no training row may repeat: definitions and first inputs.

    A name is ``TASK/definition`` or ``TASK/INSTANCE``. Empty inputs are left out; the official
    first 100 instances count, see FIRST_INSTANCES.
    """
    tasks = load_tasks([source]).tasks
    definitions = [(f"{task.name}/definition", task.definition) for task in tasks]
    return definitions + [
        (f"{task.name}/{item.id}", item.input)
        for task in tasks
        for item in task.instances
        if item.input.strip()
    ]


def task_files(sources: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of tasks that files, folders and lists name; see :func:`load_tasks`."""
    for source in sources:
        if source.is_dir():
            wanted = (".json", ".json.gz", ".jsonl", ".jsonl.gz")
            names = (path for path in sorted(source.iterdir()) if path.name.endswith(wanted))
            yield from (_inside(path, source) for path in names)
        elif source.suffix == ".txt":
            yield from _listed(source)
        else:
            yield require_regular(source)


def _listed(path: Path) -> Iterator[Path]:
    """Yield the file of each task that ``path`` names; blank lines are skipped."""
    try:
        with disk_errors("read", str(path)):
            lines = require_regular(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}); save the list as UTF-8") from None
    names = sorted({line.strip().removesuffix(".json") for line in lines if line.strip()})
    if not names:
        raise DataError(f"{path}: no task name; write one per line")
    folders = [path.parent, path.resolve().parent.parent.parent / "tasks"]
    there = {file.stem: file for folder in folders[::-1] for file in folder.glob("*.json")}
    for name in names:
        if name not in there:
            hint = nearest(name, list(there))
            raise DataError(
                f"{path}: no {name}.json beside it nor in {folders[1]}; a list of tasks needs their"
                f" files there, as in a checkout of the official repository.{hint}"
            )
        yield _inside(there[name], *folders)


def _inside(path: Path, *folders: Path) -> Path:
    """Return a regular file that lies in one of the folders, also where links lead.

    Raises:
        DataError: For a link out of a checkout, a device, a pipe.
    """
    target = path.resolve()
    if not any(target.is_relative_to(folder.resolve()) for folder in folders):
        raise DataError(f"{path}: the link leads outside {folders[-1]}; copy the file in its place")
    return require_regular(path)


def _refuse_shared_ids(tasks: tuple[EvaluationTask, ...]) -> None:
    owner: dict[str, str] = {}
    for task in tasks:
        for instance in task.instances:
            if instance.id in owner:
                raise DataError(
                    f"instance id {instance.id!r} of task {task.name!r} was already used by task"
                    f" {owner[instance.id]!r}; ids must be unique over the task set"
                )
            owner[instance.id] = task.name


def _digest(tasks: tuple[EvaluationTask, ...]) -> str:
    total = hashlib.sha256()
    for task in tasks:
        rows = [[item.id, item.input, item.references] for item in task.instances]
        content = [task.name, task.category, task.definition, task.track, rows]
        total.update(json.dumps(content, ensure_ascii=True).encode() + b"\n")
    return total.hexdigest()
