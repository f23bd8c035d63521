"""Files of evaluation tasks in the three shapes that people have them in.

Official: one JSON file per task with ``Definition``, ``Categories`` and ``Instances``, as in
allenai/natural-instructions. Flat: JSON Lines, one instance a row, as mirrors keep them.
User-oriented: JSON Lines, one task a row with ``instruction`` and ``instances``, as the 252 tasks
of Self-Instruct; their category is the application that moved someone to write them.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from refine_af.contracts.errors import DataError, nearest
from refine_af.contracts.jsonl import JsonObject, objects_in, parse_object
from refine_af.evaluation.tasks import EvaluationTask, TaskInstance, Track

MOST_UNPACKED_BYTES = 1024**3
"""Of a packed file: a few kilobytes can unpack to more than memory holds."""

_NAMES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
ROW_FILES = (*_NAMES, *(f"{name}.gz" for name in _NAMES))
_BOM, _GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"

OFFICIAL_SHAPE = (
    "a .json task file is one object with Definition, Categories and Instances, as in"
    " allenai/natural-instructions; rows of one instance each go into a .jsonl file with task,"
    " category, definition, id, input and references"
)

_ABSENT = object()

Kind = TypeVar("Kind", str, list[Any])
LANGUAGE_FIELDS = ("Input_language", "Output_language", "Instruction_language")


def read_task_file(path: Path, data: bytes, first: int) -> list[EvaluationTask]:
    """Return the tasks of one file, each with its first instances, in file order.

    Args:
        path: Where the bytes came from; its name tells the shape and names an official task.
        data: The file's bytes, packed where the name ends with ``.gz``.
        first: Most instances per task.

    Raises:
        DataError: For a file of another shape.
    """
    if path.suffix == ".gz" or data.startswith(_GZIP):
        data = _unpacked(path, data)
    is_json = path.name.removesuffix(".gz").endswith(".json")
    if is_json and data.removeprefix(_BOM).lstrip()[:1] != b"[":
        return [_official_task(path, data, first)]
    if path.name.endswith(ROW_FILES):
        return _flat_tasks(path, data, first)
    raise DataError(
        f"{path}: a task file ends with .json (official shape, or an array of rows), .jsonl, .csv"
        " or .parquet (one instance a row), or with one of these and .gz"
    )


def _official_task(path: Path, data: bytes, first: int) -> EvaluationTask:
    value = parse_object(data, str(path))
    if not {"Definition", "Instances"} & set(value):
        raise DataError(f"{path}: found the fields {sorted(value)[:8]}; {OFFICIAL_SHAPE}")
    raw = _field(value, "Instances", list, str(path))
    if not raw:
        raise DataError(f"{path}: field 'Instances' is empty; a task needs at least one instance")
    name = path.name.removesuffix(".gz").removesuffix(".json")
    instances = [
        _official_instance(item, f"{name}-{index}", f"{path}: Instances[{index}]")
        for index, item in enumerate(raw[:first])
    ]
    return EvaluationTask(
        name=name,
        category=_first_text(value, "Categories", str(path)),
        definition=_first_text(value, "Definition", str(path)),
        track=_track(value, str(path)),
        instances=tuple(instances),
    )


def _official_instance(item: object, numbered: str, where: str) -> TaskInstance:
    if not isinstance(item, dict):
        raise DataError(f"{where}: found {type(item).__name__}; it must be an object")
    return TaskInstance(
        id=_id(item, numbered, where),  # older task files have no ids
        input=_input(item, where),
        references=_references(item, "output", where),
    )


def _flat_tasks(path: Path, data: bytes, first: int) -> list[EvaluationTask]:
    groups: dict[str, list[tuple[str, JsonObject]]] = {}
    read = list(_rows(path, data))
    if read and {"instruction", "instances"} <= set(read[0][1]):
        return [_user_oriented_task(row, where, first) for where, row in read]
    if read and "Definition" in read[0][1]:
        raise DataError(f"{path}: found a list of official tasks; {OFFICIAL_SHAPE}")
    for where, row in read:
        rows = groups.setdefault(_field(row, "task", str, where), [])
        if len(rows) < first:
            rows.append((where, row))
    return [_flat_task(name, rows) for name, rows in groups.items()]


def _user_oriented_task(row: JsonObject, where: str, first: int) -> EvaluationTask:
    name = _id(row, "", where) or _field(row, "id", str, where)
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
                id=f"{name}-{index}",
                input=_input(pair, f"{where}: instances[{index}]"),
                references=_references(pair, "output", f"{where}: instances[{index}]"),
            )
            for index, pair in enumerate(pairs[:first])
        ),
    )


def _flat_task(name: str, rows: list[tuple[str, JsonObject]]) -> EvaluationTask:
    where, head = rows[0]
    for location, row in rows:
        for field in ("category", "definition"):
            if _field(row, field, str, location) != _field(head, field, str, where):
                raise DataError(
                    f"{location}: field {field!r} differs from the one at {where};"
                    f" all rows of task {name!r} must share it"
                )
    return EvaluationTask(
        name=name,
        category=head["category"],
        definition=head["definition"],
        track=_track(head, where),
        instances=tuple(
            TaskInstance(
                id=_id(row, f"{name}-{index}", location),
                input=_input(row, location),
                references=_references(row, "references", location),
            )
            for index, (location, row) in enumerate(rows)
        ),
    )


def _rows(path: Path, data: bytes) -> Iterator[tuple[str, JsonObject]]:
    for number, row in objects_in(io.BufferedReader(io.BytesIO(data)), path):
        yield f"{path}:{number}", row


def _unpacked(path: Path, data: bytes) -> bytes:
    """Return what a gzip file holds, as long as memory can hold it too."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(MOST_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: incomplete or damaged gzip file ({error})") from None
    if len(unpacked) > MOST_UNPACKED_BYTES:
        raise DataError(
            f"{path}: {len(data)} bytes unpack to more than {MOST_UNPACKED_BYTES}; split the file"
        )
    return unpacked


def _field(value: JsonObject, name: str, kind: type[Kind], where: str) -> Kind:
    word = "a string" if kind is str else "a list"
    if name not in value:
        hint = nearest(name, sorted(value))
        raise DataError(f"{where}: field {name!r} is missing; it must be {word}.{hint}")
    field = value[name]
    if not isinstance(field, kind):
        kind_found = type(field).__name__
        raise DataError(f"{where}: field {name!r} is {kind_found}; it must be {word}")
    return field


def _input(value: JsonObject, where: str) -> str:
    """Return the input; null means that there is none."""
    given = value.get("input", _ABSENT)
    if given is None:
        return ""
    return _as_text(given) if _is_text(given) else _field(value, "input", str, where)


def _id(value: JsonObject, without: str, where: str) -> str:
    """Return the id, of any scalar kind; ``without`` where there is none."""
    given = value.get("id")
    if given is None or given == "":
        return without
    return json.dumps(given) if isinstance(given, int | float) else _field(value, "id", str, where)


def _first_text(value: JsonObject, name: str, where: str) -> str:
    """Return a field that is a list of texts in new task files and one text in old ones."""
    if isinstance(value.get(name), str):
        return str(value[name])
    items = _field(value, name, list, where)
    if not items or not isinstance(items[0], str):
        raise DataError(f"{where}: field {name!r} must be a list that opens with a string")
    return str(items[0])


def _references(value: JsonObject, name: str, where: str) -> tuple[str, ...]:
    items = _listed(value, name, where)
    if not items:
        raise DataError(
            f"{where}: field {name!r} is an empty list; an instance needs at least one accepted"
            " answer, remove it or add one"
        )
    for item in items:
        if not _is_text(item):
            raise DataError(f"{where}: field {name!r} holds {type(item).__name__}; only strings")
    return tuple(map(_as_text, items))


def _listed(value: JsonObject, name: str, where: str) -> list[Any]:
    """Return a field that is a list, or the only item of one."""
    return [value[name]] if _is_text(value.get(name)) else _field(value, name, list, where)


def _is_text(value: object) -> bool:
    """Return whether a value is a text, or a number that stands for one: an answer to a sum."""
    return isinstance(value, str | int | float)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _track(value: JsonObject, where: str) -> Track:
    for name in LANGUAGE_FIELDS:
        if value.get(name) is None:
            continue
        languages = {str(language).strip().lower() for language in _listed(value, name, where)}
        if languages != {"english"}:
            return "xlingual"
    return "default"
