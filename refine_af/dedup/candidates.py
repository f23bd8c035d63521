"""Rows of any JSON Lines file, as the filter and the embeddings read them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from refine_af.contracts.jsonl import JsonObject, iter_objects
from refine_af.contracts.records import content_id

BLOCK = 1024
"""Rows that are judged together."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row.

    Attributes:
        location: File and line, for people.
        order: Number of its file and line, from 1.
        source: File and line, without names that differ from machine to machine.
        id: Its ``id``, or else a digest of the row.
        text: What is compared; None when the field is absent, not a string, or blank.
        row: All of it.
    """

    location: str
    order: str
    source: str
    id: str
    text: str | None
    row: JsonObject


def read_candidates(files: Iterable[Path], text_field: str, label: str = "") -> Iterator[Candidate]:
    """Yield the rows of JSON Lines files, one file after the other; ``label`` names the files.

    Raises:
        DataError: For a line that is not a JSON object.
    """
    for which, path in enumerate(files, start=1):
        for number, row in iter_objects(path):
            text = row.get(text_field)
            usable = text if isinstance(text, str) and text.strip() else None
            yield Candidate(
                f"{path}:{number}",
                f"{which}:{number}",
                f"{label or f'file {which}'}, line {number}",
                _row_id(row),
                usable,
                row,
            )


def in_blocks(rows: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    """Yield the rows in lists of :data:`BLOCK`."""
    while block := list(islice(rows, BLOCK)):
        yield block


def _row_id(row: JsonObject) -> str:
    given = row.get("id")
    if isinstance(given, str | int) and given != "" and not isinstance(given, bool):
        return str(given)
    return content_id("row", row)
