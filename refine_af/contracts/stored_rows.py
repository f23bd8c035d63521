"""Rows that stay in their file: a sequence that reads them whenever they are asked for.

What is held is 8 bytes a row, so that a step over a million rows can go through them several times
in the memory of one. Reading a row again takes some 4 microseconds.
"""

import json
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast, overload

from pydantic import BaseModel, ValidationError

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import (
    JsonObject,
    RowType,
    as_row,
    dump_line,
    located_objects,
    parse_object,
)

Item = TypeVar("Item")
Read = Callable[[bytes], Item]

_READ_TOGETHER = 1 << 20
"""Bytes; a larger row is read alone."""


class StoredRows(Sequence[Item], Generic[Item]):
    """Rows of a file, or of a part of it, in order."""

    def __init__(self, file: BinaryIO, borders: "array[int]", read: Read[Item]) -> None:
        """Take rows as they lie in a file.

        Args:
            file: Stays open as long as the rows are used.
            borders: Where each row begins, and the end of the last; a line ends each row.
            read: Makes a row of its line.
        """
        self._file, self._borders, self._read = file, borders, read

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __iter__(self) -> Iterator[Item]:
        return map(self._read, self.lines())

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "StoredRows[Item]": ...

    def __getitem__(self, index: int | slice) -> "Item | StoredRows[Item]":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("rows in a file are taken one after the other")
            borders = self._borders[start : max(start, stop) + 1]
            return StoredRows(self._file, borders, self._read)
        number = range(len(self))[index]
        return self._read(self._bytes(number, number + 1))

    def lines(self) -> Iterator[bytes]:
        """Yield the line of each row."""
        borders, start = self._borders, 0
        while start < len(self):
            stop = bisect_right(borders, borders[start] + _READ_TOGETHER) - 1
            stop = min(max(stop, start + 1), len(self))
            block, first = self._bytes(start, stop), borders[start]
            for number in range(start, stop):
                yield block[borders[number] - first : borders[number + 1] - first]
            start = stop

    def _bytes(self, start: int, stop: int) -> bytes:
        first, end = self._borders[start], self._borders[stop]
        data = os.pread(self._file.fileno(), end - first, first)
        if len(data) != end - first:
            raise DataError(f"{self._file.name}: it became shorter while it was read")
        return data


class JoinedRows(Sequence[Item], Generic[Item]):
    """The rows of several sequences, one after the other."""

    def __init__(self, parts: Iterable[Sequence[Item]]) -> None:
        """Join ``parts``."""
        self._parts = tuple(parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Item]:
        for part in self._parts:
            yield from part

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        for part in self._parts:
            if number < len(part):
                return part[number]
            number -= len(part)
        raise IndexError(index)


class RowSpool(Generic[Item]):
    """Writes rows to a file without a name, which goes with the last who reads it."""

    def __init__(self, read: Read[Item], folder: Path | None = None) -> None:
        """Start an empty file in ``folder``, else where the system keeps temporary files."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  the rows read from it
        self._borders = array("q", [0])
        self._read = read

    def add(self, row: BaseModel | JsonObject) -> None:
        """Append a row."""
        written = self._file.write(dump_line(row).encode("utf-8", "surrogatepass"))
        self._borders.append(self._borders[-1] + written)

    def extend(self, rows: Iterable[BaseModel | JsonObject]) -> None:
        """Append rows."""
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __iter__(self) -> Iterator[Item]:
        return iter(self.rows())

    def rows(self) -> StoredRows[Item]:
        """Return the rows so far."""
        self._file.flush()
        return StoredRows(cast(BinaryIO, self._file), self._borders, self._read)


def stored_rows(path: Path, kind: type[RowType], *, unique: bool = True) -> StoredRows[RowType]:
    """Return the typed rows of a file, each checked once; with ``unique`` also that no id repeats.

    Raises:
        DataError: As :func:`refine_af.contracts.jsonl.read_rows`.
    """
    name = str(path)

    def read(line: bytes) -> RowType:
        try:
            return kind.model_validate_json(line)
        except ValidationError:  # of another schema
            return as_row(parse_object(line, name), kind, name)

    hashes = array("q")

    def check(value: JsonObject, location: str) -> None:
        hashes.append(hash(getattr(as_row(value, kind, location), "id", None)))

    rows = _stored(path, read, check)
    if unique and "id" in kind.model_fields:
        _refuse_repeated(path, rows, hashes)
    return rows


def stored_objects(path: Path) -> StoredRows[JsonObject]:
    """Return the JSON objects of a file, each checked once.

    Raises:
        DataError: As :func:`refine_af.contracts.jsonl.iter_objects`.
    """
    return _stored(path, _loads, lambda *_: None)


def _loads(line: bytes) -> JsonObject:
    """Return an object that was checked before; without the checks it takes a fourth."""
    return cast(JsonObject, json.loads(line))


def _stored(
    path: Path, read: Read[Item], check: Callable[[JsonObject, str], None]
) -> StoredRows[Item]:
    """Return the rows of a file; of other files than JSON Lines those of a copy.

    Args:
        path: The file.
        read: Makes a row of its line.
        check: Receives each row with its location, and refuses what is wrong.
    """
    copy = RowSpool(read)
    borders = array("q")
    for number, start, value in located_objects(path):
        check(value, f"{path}:{number}")
        if start < 0:
            copy.add(value)
        else:
            borders.append(start)
    if not borders:
        return copy.rows()
    file = path.open("rb")
    borders.append(os.fstat(file.fileno()).st_size)
    return StoredRows(file, borders, read)


def _refuse_repeated(path: Path, rows: Iterable[object], hashes: "array[int]") -> None:
    """Refuse an id that comes twice; ``hashes`` has a hash of each, so that none is held."""
    import numpy as np  # here: the command line names the stages, which name this module

    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    suspected = set(values[counts > 1].tolist())
    if not suspected:
        return
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        key = str(getattr(row, "id", ""))
        if hashes[number - 1] in suspected and seen.setdefault(key, number) != number:
            raise DataError(f"{path}: row {number} repeats the id {key!r} of row {seen[key]}")
