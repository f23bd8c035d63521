"""Instances to score: rows of this project, or anyone's with the columns of an instance."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, as_row, iter_objects
from refine_af.contracts.records import Instance, Rejected
from refine_af.contracts.schemas import SCHEMAS, as_instance, mended

COLUMNS = ("instruction", "input", "output")
_KNOWN = frozenset(Instance.model_fields)


Given = tuple[Instance, JsonObject] | Rejected
"""A row to score with the columns that an instance does not have, or one whose output is empty."""


def iter_given(path: Path) -> Iterator[Given]:
    """Yield the rows of a file.

    A row without ``parents`` is someone else's. Its ``id`` is kept, so that scores can be joined
    to it; without one it gets one from its content and, for repeats, their number. ``input`` may
    be absent or null. Rows of another known schema are read too. What is held is about 250 bytes
    a row: its id, its line, and a digest of its texts.

    Raises:
        DataError: With the line, for a row of another shape or an id that comes twice.
    """
    lines: dict[str, int] = {}
    repeats: dict[bytes, int] = {}
    for number, value in iter_objects(path):
        location = f"{path}:{number}"
        if "parents" in value:
            row = as_row(value, Instance, location)
        else:
            texts = _texts(value, location)
            if not texts[-1].strip():
                yield _empty(texts, number, location)
                continue
            row = _instance(value, texts, _times_before(texts, repeats))
        if row.id in lines:
            raise DataError(f"{location} repeats the id {row.id!r} of line {lines[row.id]}")
        lines[row.id] = number
        yield row, {name: item for name, item in value.items() if name not in _KNOWN}


def whole(row: Instance, others: JsonObject) -> Instance | JsonObject:
    """Return a row with its other columns."""
    return row.model_dump(mode="json") | others if others else row


def _empty(texts: tuple[str, str, str], number: int, location: str) -> Rejected:
    detail = f"line {number}; instruction: {texts[0][:2000]}"
    made = Rejected.make("score_rewards", "empty_output", texts[-1], key=location)
    return made.model_copy(update={"detail": detail})


def _times_before(texts: tuple[str, str, str], repeats: dict[bytes, int]) -> int:
    """Return how often the texts came before, and count them."""
    digest = hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).digest()
    repeats[digest] = repeats.get(digest, -1) + 1
    return repeats[digest]


def _texts(value: JsonObject, location: str) -> tuple[str, str, str]:
    if "instruction" not in value or "output" not in value:
        value = as_instance(value) or value
    texts = mended(value)
    instruction, given, output = (texts.get(name, "") for name in COLUMNS)
    given = "" if given is None else given
    for name, text in zip(COLUMNS, (instruction, given, output), strict=True):
        if name not in value and name != "input":
            raise DataError(
                f"{location}: no column {name!r}; a row needs instruction and output, and may have"
                f" input, or be of a known schema ({', '.join(SCHEMAS)}). It has:"
                f" {', '.join(sorted(value)[:10])}"
            )
        if not isinstance(text, str):
            raise DataError(f"{location}: {name} is {str(text)[:40]!r}; it must be a string")
    if not instruction.strip():
        raise DataError(f"{location}: the instruction is empty; drop the row")
    return instruction, given, output


def _instance(value: JsonObject, texts: tuple[str, str, str], repeat: int) -> Instance:
    made = Instance.make("", *texts, is_classification=False, sample=repeat)
    own = {"id": str(value["id"])} if value.get("id") not in (None, "") else {}
    return made.model_copy(update={"parents": (), "sample": 0, **own})
