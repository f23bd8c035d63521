"""Rows in other files than JSON Lines: gzip, JSON arrays, Parquet, CSV, plain lines.

:func:`refine_af.contracts.jsonl.iter_objects` comes here for whatever is not plain JSON Lines. The
first bytes tell what a file is; only tables and plain text are told by the name.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from refine_af.contracts.errors import DataError, missing_library

Value = dict[str, object]
Lines = Callable[[BinaryIO, Path], Iterator[tuple[int, Value]]]
Decode = Callable[[str], object]

MOST_ROWS = 5_000_000
MOST_UNPACKED_BYTES = 4 * 1024**3
"""Limit of an unpacked file or a table; a small file can claim any size."""
MOST_DOCUMENT_BYTES = 1024**3
"""Limit of one JSON value, which memory must hold several times."""

TABLES = {".csv": ",", ".tsv": "\t"}
PLAIN = (".txt", ".text")
_BOM = b"\xef\xbb\xbf"
_WIDE = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Encodings by their byte order marks, the longer ones first."""
_UNPACKERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda source: gzip.GzipFile(fileobj=source),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_NO_ROWS = {
    b"PK\x03\x04": "a zip archive or an Excel file; unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard; unpack it, or pack it by gzip",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"\xff\xff\xff\xff": "an Arrow stream; save it as Parquet",
    b"Obj\x01": "an Avro file; save it as JSON Lines",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"%PDF": "a PDF; give the rows as JSON Lines",
    b"\x80": "a pickle, which is never opened; save it as JSON Lines",
    b"version https://git-lfs": "a pointer of Git LFS, not the file; run git lfs pull",
}
"""First bytes of files that hold no rows, and what they are."""
_WRAPPERS = frozenset({"data", "rows", "train", "examples", "instances", "items", "samples"})


def suffix(path: Path) -> str:
    """Return the end of a file's name in lower case, below ``.gz``, ``.bz2`` and ``.xz``."""
    name = path.name.lower()
    for packed in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(packed)
    return Path(name).suffix


def other_rows(
    path: Path, source: BinaryIO, lines: Lines, decode: Decode
) -> Iterator[tuple[int, Value]]:
    """Yield (number from 1, row) of a file that does not begin as JSON Lines do.

    Args:
        path: Of the file, for its name and for messages.
        source: Its bytes, at the beginning.
        lines: Reads JSON Lines.
        decode: Reads one JSON value of a whole document.

    Raises:
        DataError: For a file whose content is not what its name or first bytes say.
    """
    try:
        yield from _unpacked_rows(path, source, lines, decode)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: not a whole packed file ({error})") from None


def _unpacked_rows(
    path: Path, source: BinaryIO, lines: Lines, decode: Decode
) -> Iterator[tuple[int, Value]]:
    head = _head(source, 64)
    for mark, unpack in _UNPACKERS.items():
        if head.startswith(mark):
            source = cast(BinaryIO, _Bounded(unpack(source), path))
            head = _head(source, 64)
            break
    for mark, kind in _NO_ROWS.items():
        if head.startswith(mark):
            raise DataError(f"{path}: it is {kind}")
    if head[:4] == b"PAR1":
        yield from _parquet(path, source)
        return
    wide = next((name for mark, name in _WIDE.items() if head.startswith(mark)), "")
    if wide:
        source = _recoded(path, source, wide)
    elif b"\0" in head[:2] and len(head) > 3:
        source = _recoded(path, source, "utf-16-be" if head[0] == 0 else "utf-16-le")
    elif head[:3] == _BOM:
        source.read(3)
    if suffix(path) in TABLES:
        yield from _table(path, source)
    elif suffix(path) in PLAIN:
        yield from _plain(path, source)
    elif _head(source, 64).lstrip()[:1] == b"[":
        yield from _document(path, source, decode)
    else:
        yield from lines(source, path)


def _head(source: BinaryIO, size: int) -> bytes:
    peek = getattr(source, "peek", None)
    if peek is not None:
        return bytes(peek(size)[:size])
    position = source.tell()
    head = source.read(size)
    source.seek(position)
    return head


class _Bounded(io.BufferedReader):
    """A reader that stops a file which unpacks to more than the limit."""

    def __init__(self, raw: Any, path: Path) -> None:  # noqa: ANN401  no common type
        super().__init__(cast(io.RawIOBase, raw))
        self._path, self._left = path, MOST_UNPACKED_BYTES

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().readline(-1 if size is None else size))

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._left + 1 if size is None or size < 0 else size
        return self._counted(super().read(most))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._path}: it unpacks to more than {MOST_UNPACKED_BYTES} bytes; split the file"
            )
        return data


def _recoded(path: Path, source: BinaryIO, encoding: str) -> BinaryIO:
    try:
        return io.BytesIO(_whole(path, source).decode(encoding).encode())
    except UnicodeError:
        raise DataError(f"{path}: it begins as {encoding} and is not; save it as UTF-8") from None


def _whole(path: Path, source: BinaryIO) -> bytes:
    data = source.read(MOST_DOCUMENT_BYTES + 1)
    if len(data) > MOST_DOCUMENT_BYTES:
        raise DataError(
            f"{path}: one JSON value of more than {MOST_DOCUMENT_BYTES} bytes; write JSON Lines"
        )
    return data


def _document(path: Path, source: BinaryIO, decode: Decode) -> Iterator[tuple[int, Value]]:
    """Yield the objects of one JSON array."""
    value = decode_document(path, _whole(path, source), decode)
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            kind = type(row).__name__
            raise DataError(f"{path}: element {number} is {kind}; a row must be a JSON object")
        yield number, row


def decode_document(path: Path, raw: bytes, decode: Decode) -> object:
    """Return the one JSON value of a file.

    Raises:
        DataError: With line and column, if it is not valid JSON.
    """
    try:
        return decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + 1}; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        location = f"{path}:{error.lineno}"
        raise DataError(f"{location}: not JSON at column {error.colno} ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{path}: JSON nested too deeply to be rows") from None
    except ValueError as error:
        raise DataError(f"{path}: {in_words(error)}") from None


def decode_documents(raw: bytes, decoder: json.JSONDecoder) -> list[Value]:
    """Return the JSON objects that stand one after the other in a file, as ``jq`` writes them.

    Raises:
        ValueError: For anything else.
    """
    text, values, at = raw.decode("utf-8"), list[Value](), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(value, dict):
            raise ValueError("not an object")
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


def in_words(error: ValueError) -> str:
    """Return why a value cannot be read, without the names of Python's own settings."""
    if "integer string conversion" in str(error):
        return "an integer has more than 4300 digits; write it as text"
    return str(error)


def other_form(raw: bytes) -> str:
    """Return a hint at what a text is that is not JSON; empty where nothing is known."""
    start = raw.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "; it is a web page or XML, perhaps of a login or an error: download the file itself"
    if start.startswith((b"{'", b"[{'")):
        return "; it is Python's way of writing: use json.dumps"
    if start.startswith((b"//", b"#", b"/*")):
        return "; JSON has no comments: take them out"
    if raw.rstrip().endswith((b"},", b"],")):
        return "; JSON Lines have no commas between rows: take them out, or write one JSON array"
    if b"\r" in raw.strip():
        return "; its lines end with a carriage return alone: save it with line feeds"
    return "; for a CSV file end the name in .csv" if b'"' not in raw and b"," in raw else ""


def wrapped_rows(value: Value) -> list[Value]:
    """Return the rows of an object that holds nothing else but facts about them; else none."""
    rows = rows_of_object(value)
    names = [name for name, item in value.items() if isinstance(item, list)]
    known = [name for name in names if name.lower() in _WRAPPERS]
    return rows if len(names) == 1 and known and "id" not in value and rows != [value] else []


def rows_of_object(value: Value) -> list[Value]:
    """Return the rows of an object that is a whole file: its only list of objects, or itself."""
    lists = [
        item
        for item in value.values()
        if isinstance(item, list) and item and all(isinstance(row, dict) for row in item)
    ]
    row_like = {"instruction", "instances", "messages", "conversations"} & set(value)
    return [value] if row_like or len(lists) != 1 else lists[0]


def _table(path: Path, source: BinaryIO) -> Iterator[tuple[int, Value]]:
    """Yield the rows of a table with a header, as text."""
    csv.field_size_limit(16 * 1024 * 1024)
    text = io.TextIOWrapper(cast(io.BufferedReader, source), encoding="utf-8", newline="")
    try:
        header = text.readline()
        delimiter = TABLES[suffix(path)]
        if delimiter not in header and ";" in header:
            delimiter = ";"
        names = next(csv.reader([header], delimiter=delimiter), [])
        rows = csv.reader(text, delimiter=delimiter)
        for row in rows:
            if len(row) > len(names):
                raise DataError(
                    f"{path}: a row has {len(row)} cells and the header {len(names)}; put cells"
                    f" with {delimiter!r} in them in double quotes"
                )
            if any(row):
                yield rows.line_num + 1, dict(zip(names, row, strict=False))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + 1}; save it as UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path}: not a table of this kind ({error})") from None


def _plain(path: Path, source: BinaryIO) -> Iterator[tuple[int, Value]]:
    """Yield the lines of a text, each an instruction."""
    number = 0
    while raw := source.readline(1024 * 1024):
        number += 1
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(f"{path}:{number}: not UTF-8; save it as UTF-8") from None
        if text:
            yield number, {"instruction": text}


def _parquet(path: Path, source: BinaryIO) -> Iterator[tuple[int, Value]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{path}: reading Parquet", remedy) from None
    try:
        table = pyarrow.parquet.ParquetFile(source)
        _refuse_bomb(path, table.metadata)
        number = 0
        for batch in table.iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                yield number, _as_json(row)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from None


def _as_json(row: Value) -> Value:
    """Return a row of Python values as JSON has them; dates and the like become text."""
    text = json.dumps(row, default=str)
    value: Value = json.loads(text, parse_constant=lambda _: None)
    return value


def _refuse_bomb(path: Path, parquet_metadata: object) -> None:
    """Refuse a table whose own metadata says that it does not fit in memory."""
    metadata: Any = parquet_metadata
    size = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    if metadata.num_rows > MOST_ROWS or size > MOST_UNPACKED_BYTES:
        raise DataError(
            f"{path}: {metadata.num_rows} rows, {size} bytes unpacked; at most {MOST_ROWS} rows and"
            f" {MOST_UNPACKED_BYTES} bytes are read; split the file"
        )
