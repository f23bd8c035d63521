"""Instances to score: rows of this project, or anyone's with the columns of an instance."""

from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import as_row, iter_objects
from refine_af.contracts.records import Instance, Rejected

COLUMNS = ("instruction", "input", "output")


def read_given(path: Path) -> tuple[list[Instance], list[Rejected]]:
    """Return the rows that can be scored, in order, and those whose output is empty.

    A row without ``parents`` is someone else's. Its ``id`` is kept, so that scores can be joined
    to it; without one it gets one from its content and, for repeats, their number. ``input`` may
    be absent. Columns beyond :data:`COLUMNS` are left out.

    Raises:
        DataError: With the line, for a row of another shape or an id that comes twice.
    """
    rows: list[Instance] = []
    empty: list[Rejected] = []
    lines: dict[str, int] = {}
    repeats: dict[tuple[str, ...], int] = {}
    for number, value in iter_objects(path):
        place = f"{path}:{number}"
        if "parents" in value:
            row = as_row(value, Instance, place)
        else:
            texts = _texts(value, place)
            if not texts[-1].strip():
                detail = f"line {number}; instruction: {texts[0][:2000]}"
                empty.append(
                    Rejected.make(
                        "score_rewards", "empty_output", texts[-1], place=place
                    ).model_copy(update={"detail": detail})
                )
                continue
            repeats[texts] = repeats.get(texts, -1) + 1
            row = _instance(value, texts, repeats[texts])
        if row.id in lines:
            raise DataError(f"{place} repeats the id {row.id!r} of line {lines[row.id]}")
        lines[row.id] = number
        rows.append(row)
    return rows, empty


def _texts(value: dict[str, Any], place: str) -> tuple[str, str, str]:
    instruction, given, output = (value.get(name, "") for name in COLUMNS)
    for name, text in zip(COLUMNS, (instruction, given, output), strict=True):
        if name not in value and name != "input":
            raise DataError(
                f"{place}: no column {name!r}; a row needs instruction and output, and may have"
                f" input. It has: {', '.join(sorted(value)[:10])}"
            )
        if not isinstance(text, str):
            raise DataError(f"{place}: {name} is {str(text)[:40]!r}, not a text")
    if not instruction.strip():
        raise DataError(f"{place}: the instruction is empty; drop the row")
    return instruction, given, output


def _instance(value: dict[str, Any], texts: tuple[str, str, str], repeat: int) -> Instance:
    made = Instance.make("", *texts, is_classification=False, sample=repeat)
    own = {"id": str(value["id"])} if value.get("id") not in (None, "") else {}
    return made.model_copy(update={"parents": (), "sample": 0, **own})
