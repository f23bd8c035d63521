"""Evaluation tasks in the three shapes that people have them in.

Official: one JSON file per task with ``Definition``, ``Categories`` and ``Instances``, as in
allenai/natural-instructions. Flat: JSON Lines, one instance a row, as mirrors keep them.
User-oriented: JSON Lines, one task a row with ``instruction`` and ``instances``, as the 252 tasks
of Self-Instruct; their category is the application that moved someone to write them.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from refine_af.contracts.errors import DataError, nearest
from refine_af.contracts.jsonl import JsonObject, parse_object

FIRST_INSTANCES = 100
"""The official test set: the first 100 of each file, which are label-balanced on purpose."""

MOST_UNPACKED_BYTES = 1024**3
"""Of a packed file: a few kilobytes can unpack to more than memory holds."""

Kind = TypeVar("Kind", str, list[Any])
Track = Literal["default", "xlingual"]
LANGUAGE_FIELDS = ("Input_language", "Output_language", "Instruction_language")


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


def load_tasks(
    sources: Sequence[Path], *, selection: Path | None = None, first: int = FIRST_INSTANCES
) -> TaskSet:
    """Return the tasks of files and directories.

    Args:
        sources: Task files (``.json``), row files (``.jsonl``, ``.jsonl.gz``) or directories of
            them; a directory is read without its subdirectories.
        selection: A ``tasks.txt`` of one task name per line; every one must be there.
        first: Most instances per task, counted from the start of its file.

    Raises:
        DataError: For a file of another shape, a task or instance met twice, a selected task that
            is missing, or nothing to load.
    """
    wanted = read_selection(selection) if selection else None
    found: dict[str, EvaluationTask] = {}
    files: dict[str, str] = {}
    for path in _files(sources, wanted):
        data = path.read_bytes()
        files[path.name] = hashlib.sha256(data).hexdigest()
        for task in _read(path, data, first):
            if task.name in found:
                raise DataError(
                    f"{path}: the task {task.name!r} was already read; keep one of them"
                )
            found[task.name] = task
    names = _chosen(found, wanted, selection)
    if not names:
        places = ", ".join(str(source) for source in sources)
        raise DataError(f"{places}: no task found; give .json, .jsonl or .jsonl.gz task files")
    tasks = tuple(found[name] for name in names)
    _refuse_shared_ids(tasks)
    return TaskSet(tasks=tasks, files=files, digest=_digest(tasks))


def evaluation_texts(source: Path) -> list[str]:
    """Return what no training row may repeat: each task's definition and its first inputs.

    Empty inputs are left out; the official first 100 instances count, see FIRST_INSTANCES.
    """
    tasks = load_tasks([source]).tasks
    inputs = [item.input for task in tasks for item in task.instances if item.input.strip()]
    return [task.definition for task in tasks] + inputs


def read_selection(path: Path) -> tuple[str, ...]:
    """Return the task names of a ``tasks.txt``; blank lines are skipped, ``.json`` is dropped."""
    lines = path.read_text(encoding="utf-8").split("\n")
    names = tuple(line.strip().removesuffix(".json") for line in lines if line.strip())
    if not names:
        raise DataError(f"{path}: no task name; write one per line")
    return names


def _files(sources: Sequence[Path], wanted: tuple[str, ...] | None) -> Iterator[Path]:
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        for path in sorted(source.iterdir()):
            rows = path.name.endswith((".jsonl", ".jsonl.gz"))
            # A checkout of the official repository holds 1,600 files; most are not selected.
            selected = wanted is None or path.stem in wanted
            if rows or (path.suffix == ".json" and selected):
                yield path


def _read(path: Path, data: bytes, first: int) -> list[EvaluationTask]:
    if path.suffix == ".json":
        return [_official_task(path, data, first)]
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _flat_tasks(path, data, first)
    raise DataError(
        f"{path}: a task file ends with .json (official shape), .jsonl or .jsonl.gz (one instance"
        " a row)"
    )


def _official_task(path: Path, data: bytes, first: int) -> EvaluationTask:
    value = parse_object(data, str(path))
    raw = _field(value, "Instances", list, str(path))
    if not raw:
        raise DataError(f"{path}: field 'Instances' is empty; a task needs at least one instance")
    instances = [_official_instance(item, path, place) for place, item in enumerate(raw[:first])]
    return EvaluationTask(
        name=path.stem,
        category=_first_text(value, "Categories", str(path)),
        definition=_first_text(value, "Definition", str(path)),
        track=_track(value, str(path)),
        instances=tuple(instances),
    )


def _official_instance(item: object, path: Path, place: int) -> TaskInstance:
    where = f"{path}: Instances[{place}]"
    if not isinstance(item, dict):
        raise DataError(f"{where}: found {type(item).__name__}; it must be an object")
    return TaskInstance(
        # Older task files have no ids; the place in the file is then the id.
        id=str(item.get("id", f"{path.stem}-{place}")),
        input=_field(item, "input", str, where),
        references=_references(item, "output", where),
    )


def _flat_tasks(path: Path, data: bytes, first: int) -> list[EvaluationTask]:
    groups: dict[str, list[tuple[str, JsonObject]]] = {}
    read = list(_rows(path, data))
    if read and {"instruction", "instances"} <= set(read[0][1]):
        return [_user_oriented_task(row, where, first) for where, row in read]
    for where, row in read:
        rows = groups.setdefault(_field(row, "task", str, where), [])
        if len(rows) < first:
            rows.append((where, row))
    return [_flat_task(name, rows) for name, rows in groups.items()]


def _user_oriented_task(row: JsonObject, where: str, first: int) -> EvaluationTask:
    name = _field(row, "id", str, where)
    pairs = _field(row, "instances", list, where)
    if not pairs or not all(isinstance(pair, dict) for pair in pairs):
        raise DataError(f"{where}: field 'instances' must be a list of objects, at least one")
    return EvaluationTask(
        name=name,
        category=str(row.get("motivation_app") or "user oriented"),
        definition=_field(row, "instruction", str, where),
        track="default",
        instances=tuple(
            TaskInstance(
                id=f"{name}-{place}",
                input=_field(pair, "input", str, f"{where}: instances[{place}]"),
                references=_references(pair, "output", f"{where}: instances[{place}]"),
            )
            for place, pair in enumerate(pairs[:first])
        ),
    )


def _flat_task(name: str, rows: list[tuple[str, JsonObject]]) -> EvaluationTask:
    where, head = rows[0]
    for place, row in rows:
        for field in ("category", "definition"):
            if _field(row, field, str, place) != _field(head, field, str, where):
                raise DataError(
                    f"{place}: field {field!r} differs from the one at {where};"
                    f" all rows of task {name!r} must share it"
                )
    return EvaluationTask(
        name=name,
        category=head["category"],
        definition=head["definition"],
        track=_track(head, where),
        instances=tuple(
            TaskInstance(
                id=_field(row, "id", str, place),
                input=_field(row, "input", str, place),
                references=_references(row, "references", place),
            )
            for place, row in rows
        ),
    )


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, JsonObject]]:
    if path.suffix == ".gz":
        data = _unpacked(path, data)
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", parse_object(line, f"{path}:{number}")


def _unpacked(path: Path, data: bytes) -> bytes:
    """Return what a gzip file holds, as long as memory can hold it too."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            found = packed.read(MOST_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from None
    if len(found) > MOST_UNPACKED_BYTES:
        raise DataError(
            f"{path}: {len(data)} bytes unpack to more than {MOST_UNPACKED_BYTES}; split the file"
        )
    return found


def _field(value: JsonObject, name: str, kind: type[Kind], where: str) -> Kind:
    word = "a string" if kind is str else "a list"
    if name not in value:
        hint = nearest(name, sorted(value))
        raise DataError(f"{where}: field {name!r} is missing; it must be {word}.{hint}")
    found = value[name]
    if not isinstance(found, kind):
        kind_found = type(found).__name__
        raise DataError(f"{where}: field {name!r} is {kind_found}; it must be {word}")
    return found


def _first_text(value: JsonObject, name: str, where: str) -> str:
    """Return a field that is a list of texts in new task files and one text in old ones."""
    if isinstance(value.get(name), str):
        return str(value[name])
    items = _field(value, name, list, where)
    if not items or not isinstance(items[0], str):
        raise DataError(f"{where}: field {name!r} must be a list that opens with a string")
    return str(items[0])


def _references(value: JsonObject, name: str, where: str) -> tuple[str, ...]:
    raw = value.get(name)
    items = [raw] if isinstance(raw, str) else _field(value, name, list, where)
    if not items:
        raise DataError(
            f"{where}: field {name!r} is an empty list; an instance needs at least one accepted"
            " answer, remove it or add one"
        )
    for item in items:
        if not isinstance(item, str):
            raise DataError(f"{where}: field {name!r} holds {type(item).__name__}; only strings")
    return tuple(items)


def _track(value: JsonObject, where: str) -> Track:
    for name in LANGUAGE_FIELDS:
        if name in value and _field(value, name, list, where) != ["English"]:
            return "xlingual"
    return "default"


def _chosen(
    found: dict[str, EvaluationTask], wanted: tuple[str, ...] | None, selection: Path | None
) -> list[str]:
    if wanted is None:
        return sorted(found)
    for name in wanted:
        if name not in found:
            hint = nearest(name, sorted(found))
            raise DataError(f"{selection}: the task {name!r} is in none of the task files.{hint}")
    return sorted(set(wanted))


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
