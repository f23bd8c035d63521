"""Reading a report's inputs, all of them optional: what is absent is empty."""

from collections.abc import Iterator, Mapping
from typing import Any

from refine_af.contracts.jsonl import RowType, iter_objects, parse_object, read_rows
from refine_af.contracts.records import Rejected
from refine_af.contracts.stage import Task


def given_rows(task: Task, name: str, kind: type[RowType]) -> list[RowType]:
    """Return the records of an input."""
    return read_rows(task.inputs[name], kind) if name in task.inputs else []


def given_rejections(task: Task, *names: str) -> list[Rejected]:
    """Return rejections; the filter keeps the whole row beside them, which is left out here."""
    fields = Rejected.model_fields
    return [
        Rejected.model_validate({key: row[key] for key in fields if key in row})
        for name in names
        for row in given_objects(task, name)
    ]


def given_objects(task: Task, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of an input."""
    path = task.inputs.get(name)
    if path is not None:
        for _, value in iter_objects(path):
            yield value


def given_json(task: Task, name: str) -> dict[str, Any]:
    """Return the object of an input.

    Raises:
        DataError: When it is something else.
    """
    path = task.inputs.get(name)
    return parse_object(path.read_bytes(), f"input {name!r}: {path}") if path else {}
