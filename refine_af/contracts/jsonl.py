r"""JSON Lines, and single objects, in and out: where text becomes typed rows.

Lines are split at ``\n`` only: ``str.splitlines`` also splits at U+2028 and its kin, which JSON
does not escape, so one model answer with a line separator would break a whole artifact.
"""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from refine_af.contracts import row_files
from refine_af.contracts.errors import DataError
from refine_af.contracts.records import NEW, MadeRow
from refine_af.contracts.schemas import as_instance, mended

RowType = TypeVar("RowType", bound=BaseModel)
JsonObject = dict[str, Any]

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longer lines are refused, to bound memory; no row of ours comes near."""


_BOM = b"\xef\xbb\xbf"
"""The byte order mark that some editors and spreadsheet programs write."""


def dump_line(row: BaseModel | JsonObject) -> str:
    """Return one line with its newline; keys in declared order, no float left non-finite."""
    value = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
    return _ENCODER.encode(value) + "\n"


def write_rows(path: Path, rows: Iterable[BaseModel | JsonObject]) -> int:
    """Write one row per line and return how many; the caller publishes the file."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as sink:
        for row in rows:
            sink.write(dump_line(row))
            count += 1
    return count


def write_object(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object for people and programs: indented, keys in their order, UTF-8."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def iter_objects(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Yield (line number from 1, JSON object) of each row.

    JSON Lines, and what :mod:`refine_af.contracts.row_files` reads: a JSON array, Parquet, CSV,
    plain lines, each also packed by gzip; the number is then that of the row.

    Raises:
        DataError: With file and line, for bytes that are not UTF-8, text that is not one JSON
            object, a NUL or a lone surrogate inside a string, or a line over 16 MiB.
    """
    for number, _, value in located_objects(path):
        yield number, value


def located_objects(path: Path) -> Iterator[tuple[int, int, JsonObject]]:
    """Yield number, byte and object of each row of a file; see :func:`iter_objects`.

    The byte is where the row's line begins; -1 for a row that is not a line of the file.
    """
    with path.open("rb") as source:
        yield from _located(source, path)


def objects_in(source: io.BufferedReader, path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Yield what :func:`iter_objects` does, from the bytes of a file that is called ``path``."""
    for number, _, value in _located(source, path):
        yield number, value


def _located(source: io.BufferedReader, path: Path) -> Iterator[tuple[int, int, JsonObject]]:
    head = source.peek(2)[:2]
    if head[:1] == b"{" and head[1:] != b"\0" and row_files.suffix(path) not in row_files.TABLES:
        yield from _located_lines(source, path)
        return
    for number, value in row_files.other_rows(path, source, _lines, _DECODER.decode):
        _refuse_bad_text(value, f"{path}:{number}")
        yield number, -1, value


def _lines(source: BinaryIO, path: Path) -> Iterator[tuple[int, JsonObject]]:
    for number, _, value in _located_lines(source, path):
        yield number, value


def _located_lines(source: BinaryIO, path: Path) -> Iterator[tuple[int, int, JsonObject]]:
    number = end = 0
    while raw := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        end += len(raw)
        location = f"{path}:{number}"
        if len(raw) > MAX_LINE_BYTES:
            raise DataError(f"{location}: the line is longer than {MAX_LINE_BYTES} bytes")
        if not raw.strip():
            continue
        try:
            value = parse_object(raw, location)
        except DataError:
            rows = _rows_of_document(raw, source, path) if number == 1 else None
            if rows is None:
                raise
            for at, row in enumerate(rows, start=1):
                _refuse_bad_text(row, f"{path}:{at}")
                yield at, -1, row
            return
        if number == 1 and (held := row_files.wrapped_rows(value)):
            rest = source.read(row_files.MOST_DOCUMENT_BYTES)
            if not rest.strip():
                for at, row in enumerate(held, start=1):
                    yield at, -1, row
                return
            source = io.BytesIO(rest)
        yield number, end - len(raw), value


def _rows_of_document(first: bytes, source: BinaryIO, path: Path) -> list[JsonObject] | None:
    """Return the rows of JSON objects over several lines; None if the file is not that."""
    rest = source.read(row_files.MOST_DOCUMENT_BYTES)
    if not rest.strip():
        return None
    try:
        values = row_files.decode_documents(first + rest, _DECODER)
    except ValueError:
        return None
    if len(values) == 1:
        return cast(list[JsonObject], row_files.rows_of_object(values[0]))
    return cast(list[JsonObject], values)


def parse_object(raw: bytes, location: str) -> JsonObject:
    """Return the JSON object in ``raw``; ``location`` opens the message of every error."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{location}: not UTF-8 at byte {error.start + 1}; save it as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        if raw.startswith(_BOM):
            return parse_object(raw.removeprefix(_BOM), location)
        problem = f"not JSON at column {error.colno} ({error.msg}){row_files.other_form(raw)}"
        raise DataError(f"{location}: {problem}") from None
    except RecursionError:
        raise DataError(f"{location}: JSON nested too deeply to be a row") from None
    except ValueError as error:
        raise DataError(f"{location}: {row_files.in_words(error)}") from None
    if not isinstance(value, dict):
        raise DataError(f"{location}: found {type(value).__name__}; it must be a JSON object")
    if b"\\u" in raw:  # neither a NUL nor a surrogate can be in UTF-8 JSON but as an escape
        _refuse_bad_text(value, location)
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON; use null or a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large for a number; write it as text")
    return number


def _refuse_bad_text(value: object, location: str, field: str = "") -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise DataError(f"{location}: field {field!r} holds a NUL character; remove it")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{location}: field {field!r} holds a lone surrogate; it is not text"
            ) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_bad_text(key, location, "a key")
            _refuse_bad_text(item, location, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_bad_text(item, location, f"{field}[{index}]")


# json.dumps and json.loads would make these anew for each line, for a third of their time
# Nor are rows circular: looking for that takes as long again.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(", ", ": "), allow_nan=False, check_circular=False
)
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def iter_rows(path: Path, kind: type[RowType]) -> Iterator[RowType]:
    """Yield the typed rows of a file.

    Raises:
        DataError: As :func:`iter_objects`, or with the field for a row of another shape.
    """
    for number, value in iter_objects(path):
        yield as_row(value, kind, f"{path}:{number}")


def as_row(value: JsonObject, kind: type[RowType], location: str) -> RowType:
    """Return ``value`` as a row of type ``kind``.

    A foreign row may have no id and may be in another schema (:mod:`refine_af.contracts.schemas`).

    Raises:
        DataError: With the field.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        row = _from_elsewhere(value, kind)
        if row is None:
            raise DataError(f"{location}: {kind.__name__} {_first_problem(error)}") from None
        return row


def _from_elsewhere(value: JsonObject, kind: type[RowType]) -> RowType | None:
    """Convert a row in a foreign schema; None if it cannot be converted."""
    derived = issubclass(kind, MadeRow)
    known = mended(value)
    if derived and "instruction" not in value:
        known = mended(as_instance(value) or value)
    missing = derived and known.get("id") in (None, "")
    try:
        row = kind.model_validate({**known, "id": NEW} if missing else known)
    except ValidationError:
        return None
    return row.with_derived_id() if missing and isinstance(row, MadeRow) else row


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    given = "" if first["type"] == "missing" else f", found {str(first['input'])[:80]!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"field {field!r}: {first['msg']}{given}{more}"


def read_rows(path: Path, kind: type[RowType]) -> list[RowType]:
    """Return all rows of a file; ids must be unique where the rows have one."""
    rows = list(iter_rows(path, kind))
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        key = getattr(row, "id", None)
        if key is None:
            continue
        if key in seen:
            raise DataError(f"{path}: row {number} repeats the id {key!r} of row {seen[key]}")
        seen[key] = number
    return rows
