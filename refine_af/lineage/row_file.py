"""Searches an artifact of rows without parsing the rows that do not matter.

Artifacts are written by :func:`refine_af.contracts.jsonl.dump_line`, so an id stands in the bytes
exactly as JSON spells it. Looking for those bytes reads a gigabyte a second; parsing would read a
tenth of that.
"""

import hashlib
import json
import mmap
import os
import re
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, parse_object

_START, _PARENTS = b'{"id": "', b'", "parents": ['
_WINDOW = 1 << 25
"""Bytes that are looked through together."""
_BLOCK = 1 << 20
"""Bytes that are read together from the end."""
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

    def _find(self, needle: bytes, start: int) -> int:
        """Return where ``needle`` begins at or after ``start``, or -1.

        What was looked through is given back, so that a large file does not fill the memory.
        """
        data = self._bytes
        while start < len(data):
            end = min(start + _WINDOW, len(data))
            at = data.find(needle, start, end + len(needle) - 1)
            if at >= 0:
                return at
            if isinstance(data, mmap.mmap):
                first = start - start % mmap.PAGESIZE
                data.madvise(mmap.MADV_DONTNEED, first, end - first)
            start = end
        return -1

    def lines_with(self, needle: bytes) -> Iterator[JsonObject]:
        """Yield every row whose line holds ``needle``, once each.

        Raises:
            DataError: For such a line that is not a JSON object.
        """
        data = self._bytes
        at = self._find(needle, 0)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            yield parse_object(bytes(data[start:end]), f"{self.path}: byte {start}")
            at = self._find(needle, end)

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

    def heads(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the bytes of each row's id, and those between the brackets of its ``parents``."""
        for line in self.every_line():
            if head := _head(line):
                yield head

    def heads_backwards(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield :meth:`heads` from the last row to the first."""
        with self.path.open("rb") as source:
            rest = b""
            end = source.seek(0, os.SEEK_END)
            while end:
                start = max(end - _BLOCK, 0)
                source.seek(start)
                rest, *lines = (source.read(end - start) + rest).split(b"\n")
                yield from (head for line in reversed(lines) if (head := _head(line)))
                end = start
        if head := _head(rest):
            yield head

    def parents(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield id and parents' ids of every row, in file order."""
        for row_id, listed in self.heads():
            yield row_id.decode("utf-8", "replace"), ids_in(listed)

    def every_line(self) -> Iterator[bytes]:
        """Yield every line with its end, in file order."""
        with self.path.open("rb") as source:
            yield from source

    def position(self, row_id: str) -> int | None:
        """Return the byte at which the row with that id begins, or None where it is not."""
        at = self._find(b'{"id": ' + spelled(row_id), 0)
        return at if at >= 0 else None

    def lines_before(self, end: int) -> Iterator[bytes]:
        """Yield the lines that begin before the byte ``end``."""
        for line in self.every_line():
            if end <= 0:
                return
            yield line
            end -= len(line)

    def digest_before(self, end: int) -> bytes:
        """Return a digest of the bytes before ``end``."""
        digest = hashlib.blake2b()
        with self.path.open("rb") as source:
            while end > 0 and (block := source.read(min(_BLOCK, end))):
                digest.update(block)
                end -= len(block)
        return digest.digest()

    def lines(self) -> Iterator[tuple[tuple[str, ...], bytes]]:
        """Yield the parents and the whole line of every row.

        Raises:
            DataError: For a line that does not start as rows of a run do.
        """
        for number, line in enumerate(self.every_line(), start=1):
            head = _head(line)
            if head is not None:
                yield ids_in(head[1]), line.rstrip(b"\n") + b"\n"
            elif line.strip(b"\n"):
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


def ids_in(listed: bytes) -> tuple[str, ...]:
    """Return the ids that stand between the brackets of ``parents``."""
    inside = listed.decode("utf-8", "replace")
    return tuple(inside[1:-1].split('", "')) if inside else ()


@cache
def _pattern(field: str) -> re.Pattern[bytes]:
    return re.compile(_FIELD % field.encode())


def text_in(line: bytes, field: str) -> str | None:
    """Return the text of ``field`` of the row in ``line``; None where it has none."""
    found = _pattern(field).search(line)
    if found is None:
        return None
    text = found[1]
    return str(json.loads(b'"%s"' % text)) if b"\\" in text else text.decode()
