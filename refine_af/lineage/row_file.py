"""Searches an artifact of rows without parsing the rows that do not matter.

Artifacts are written by :func:`refine_af.contracts.jsonl.dump_line`, so an id stands in the bytes
exactly as JSON spells it. Looking for those bytes reads a gigabyte a second; parsing would read a
tenth of that.
"""

import json
import mmap
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, parse_object

_START, _PARENTS = b'{"id": "', b'", "parents": ['
_FIELD = rb'"%s": "([^"\\]*(?:\\.[^"\\]*)*)"'
"""A quotation mark inside a JSON text has a backslash, so this can only match a key."""


def spelled(value: str) -> bytes:
    """Return a text as it stands in an artifact, with its quotation marks."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


class RowFile:
    """The rows of one file, in file order."""

    def __init__(self, path: Path) -> None:
        """Look into ``path``; nothing is read until it is asked for."""
        self.path = path
        self._asked: dict[str, JsonObject | None] = {}

    @cached_property
    def _bytes(self) -> mmap.mmap | bytes:
        if self.path.stat().st_size == 0:
            return b""
        with self.path.open("rb") as source:
            return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)

    def lines_with(self, needle: bytes) -> Iterator[JsonObject]:
        """Yield every row whose line holds ``needle``, once each.

        Raises:
            DataError: For such a line that is not a JSON object.
        """
        data = self._bytes
        at = data.find(needle)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            yield parse_object(bytes(data[start:end]), f"{self.path}: byte {start}")
            at = data.find(needle, end)

    def row(self, row_id: str) -> JsonObject | None:
        """Return the row with that id, or None."""
        if row_id not in self._asked:
            rows = self.lines_with(b'{"id": ' + spelled(row_id))
            self._asked[row_id] = next((row for row in rows if row.get("id") == row_id), None)
        return self._asked[row_id]

    def children(self, row_id: str) -> list[JsonObject]:
        """Return the rows that were made from ``row_id`` alone, in file order."""
        rows = self.lines_with(b'"parents": [' + spelled(row_id) + b"]")
        return [row for row in rows if row.get("parents") == [row_id]]

    @cached_property
    def heads(self) -> dict[bytes, bytes]:
        """The bytes between the brackets of ``parents`` by the bytes of the id, in file order."""
        heads_by_id: dict[bytes, bytes] = {}
        for line in self.content.split(b"\n"):
            if head := _head(line):
                heads_by_id[head[0]] = head[1]
        return heads_by_id

    def parents_of(self, row_id: str) -> tuple[str, ...] | None:
        """Return the parents' ids of a row, or None where the file has no such row."""
        listed = self.heads.get(row_id.encode())
        return None if listed is None else _ids(listed)

    @cached_property
    def parents(self) -> dict[str, tuple[str, ...]]:
        """Parents' ids of every row by its id, in file order."""
        return {
            row_id.decode("utf-8", "replace"): _ids(listed) for row_id, listed in self.heads.items()
        }

    @property
    def content(self) -> bytes:
        """All bytes."""
        return bytes(self._bytes)

    def before(self, row_id: str) -> bytes | None:
        """Return the bytes of all rows before the one with that id, or None where it is not."""
        at = self._bytes.find(b'{"id": ' + spelled(row_id))
        return bytes(self._bytes[:at]) if at >= 0 else None

    def lines(self) -> Iterator[tuple[tuple[str, ...], bytes]]:
        """Yield the parents and the whole line of every row.

        Raises:
            DataError: For a line that does not start as rows of a run do.
        """
        for number, line in enumerate(self.content.split(b"\n"), start=1):
            head = _head(line)
            if head is not None:
                yield _ids(head[1]), line + b"\n"
            elif line:
                raise DataError(f"{self.path}:{number}: not a row of a run; the file was altered")


def _head(line: bytes) -> tuple[bytes, bytes] | None:
    """Return id and what stands between the brackets of ``parents``, where a row starts so.

    Half the time of a regular expression, over hundreds of thousands of rows.
    """
    start, parents, rest = line.partition(_PARENTS)
    row_id = start[len(_START) :]
    if not parents or not start.startswith(_START) or b'"' in row_id:
        return None
    return row_id, rest[: rest.find(b"]")]


def _ids(listed: bytes) -> tuple[str, ...]:
    inside = listed.decode("utf-8", "replace")
    return tuple(inside[1:-1].split('", "')) if inside else ()


def texts_in(content: bytes, field: str) -> list[str]:
    """Return the text of ``field`` of every row in ``content`` that has it, in order."""
    encoded = re.findall(_FIELD % field.encode(), content)
    return [json.loads(b'"%s"' % text) if b"\\" in text else text.decode() for text in encoded]
