"""Rows in files as people have them."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts import row_files
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import iter_objects, read_rows
from refine_af.contracts.records import Instance, Instruction, Seed

ROWS: list[dict[str, Any]] = [
    {"instruction": "Name the largest planet.", "input": "", "output": "Jupiter."},
    {"instruction": "Say it in French.", "input": "yes,\nno", "output": "oui \u2028 non"},
]
BOM = b"\xef\xbb\xbf"


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def table(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    target = io.BytesIO()
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), target)
    return target.getvalue()


FORMS: dict[str, Any] = {
    "rows.jsonl": lines,
    "rows": lines,
    "with_mark.jsonl": lambda rows: BOM + lines(rows),
    "marks_within.jsonl": lambda rows: lines(rows[:1]) + BOM + lines(rows[1:]),
    "blank_first.jsonl": lambda rows: b"\n  \n" + lines(rows),
    "array.json": lambda rows: json.dumps(rows, indent=2).encode(),
    "array": lambda rows: BOM + b" \n" + json.dumps(rows).encode(),
    "array.jsonl": lambda rows: json.dumps(rows).encode(),
    "object.json": lambda rows: json.dumps({"version": 1, "data": rows}, indent=1).encode(),
    "object_in_a_line.json": lambda rows: json.dumps({"version": 1, "data": rows}).encode(),
    "one_after_the_other.json": lambda rows: "\n".join(
        json.dumps(row, indent=2) for row in rows
    ).encode(),
    "wide_lines_without_a_mark.jsonl": lambda rows: lines(rows).decode().encode("utf-16-le"),
    "wide_big_endian.json": lambda rows: json.dumps(rows).encode("utf-16-be"),
    "rows.jsonl.bz2": lambda rows: bz2.compress(lines(rows)),
    "rows.csv.xz": lambda rows: lzma.compress(table(rows)),
    "widest.jsonl": lambda rows: lines(rows).decode().encode("utf-32"),
    "widest_big_endian.json": lambda rows: b"\0\0\xfe\xff" + json.dumps(rows).encode("utf-32-be"),
    "wide.json": lambda rows: json.dumps(rows, ensure_ascii=False).encode("utf-16"),
    "rows.csv": table,
    "excel.csv": lambda rows: BOM + table(rows),
    "german.csv": lambda rows: table(rows, ";"),
    "rows.tsv": lambda rows: table(rows, "\t"),
    "rows.parquet": parquet,
    "parquet_without_a_name": parquet,
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_the_same_rows_come_out_of_every_form(tmp_path: Path, name: str, packed: bool) -> None:
    if packed and name.endswith(("bz2", "xz")):
        return
    data = FORMS[name](ROWS)
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert [row for _, row in iter_objects(path)] == ROWS


def test_packed_rows_need_no_name(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(lines(ROWS)))
    assert [row for _, row in iter_objects(path)] == ROWS


def test_plain_lines_are_instructions(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(BOM + b"Name a river.\n\n  Name a sea.  \n")
    assert list(iter_objects(path)) == [
        (1, {"instruction": "Name a river."}),
        (3, {"instruction": "Name a sea."}),
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"[1]", "element 1 is int; a row must be a JSON object"),
        ("a.json", b'[{"a": 1}, ', "a.json:1: not JSON at column"),
        ("a.json", b'[\n{"a": "\\ud800"}]', "lone surrogate"),
        ("a.json", b'[{"a": "\xff"}]', "not UTF-8"),
        ("a.json", b"[" * 100_000, "nested too deeply"),
        ("a.json", b'[{"a": NaN}]', "NaN is not JSON"),
        ("a.jsonl", b'{"a": 1\n{"b": 2}\n', "a.jsonl:1: not JSON"),
        ("a.jsonl", b'{"a": 1}\n{"b": \n', "a.jsonl:2: not JSON"),
        ("a.csv", b"a,b\n1,2,3\n", "a row has 3 cells and the header 2"),
        ("a.csv", b"a\n\xff\n", "not UTF-8"),
        ("a.txt", b"\xff\n", "a.txt:1: not UTF-8"),
        ("a.gz", b"\x1f\x8bnot", "not a whole packed file"),
        ("a.jsonl.gz", gzip.compress(lines(ROWS))[:-9], "not a whole packed file"),
        ("a.jsonl.xz", lzma.compress(lines(ROWS))[:-9], "not a whole packed file"),
        ("a.jsonl", b'{"a": ' + b"9" * 4301 + b"}", "more than 4300 digits; write it as text"),
        ("a.json", b'[{"a": ' + b"9" * 4301 + b"}]", "more than 4300 digits; write it as text"),
        ("a.xlsx", b"PK\x03\x04" + b"x" * 60, "a zip archive or an Excel file"),
        ("a.jsonl.zst", b"\x28\xb5\x2f\xfd\x04\x00", "packed by Zstandard"),
        ("a.pkl", b"\x80\x04\x95", "a pickle, which is never opened"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        ("a.jsonl", b"<!DOCTYPE html>\n<p>Sign in</p>", "it is a web page or XML"),
        ("a.jsonl", b"{'instruction': 'Sort.'}\n", "use json.dumps"),
        ("a.jsonl", b'// mine\n{"a": 1}\n', "JSON has no comments"),
        ("a.parquet", b"PAR1 and no more", "not a Parquet file"),
        ("a.json", b"\xff\xfe\x00", "save it as UTF-8"),
    ],
)
def test_what_is_none_of_them_is_named(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(iter_objects(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_unpacks_to_more_than_anything_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "MOST_UNPACKED_BYTES", 100_000)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * 1_000 + b'"}\n' * 1))
    assert len(list(iter_objects(path))) == 1
    path.write_bytes(gzip.compress((b'{"a": "' + b"x" * 1_000 + b'"}\n') * 1_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="unpacks to more than 100000 bytes"):
        list(iter_objects(path))


@given(st.binary(max_size=60), st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.txt", "a.gz"]))
def test_any_bytes_are_rows_or_a_data_error(data: bytes, name: str) -> None:
    source: Any = io.BufferedReader(io.BytesIO(data))
    from refine_af.contracts.jsonl import objects_in

    try:
        for number, row in objects_in(source, Path(name)):
            assert number > 0
            assert isinstance(row, dict)
    except DataError as error:
        assert name in str(error)  # noqa: PT017  either is right


def put(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_bytes(lines(list(rows)))
    return path


def test_rows_of_others_become_ours(tmp_path: Path) -> None:
    """Null inputs, other schemas, extra columns, ids of any kind or none."""
    path = put(
        tmp_path / "rows.jsonl",
        {"instruction": "Name a metal.", "input": None, "output": "Tin.", "source": "crm"},
        {"id": 7, "instruction": "Name a metal.", "output": "Zinc."},
        {"prompt": "Name a river.", "completion": " Po"},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
        {"id": "own", "parents": ["i"], "instruction": "a", "input": None, "output": "b"},
    )
    rows = read_rows(path, Instance)
    assert [(row.instruction, row.input, row.output) for row in rows] == [
        ("Name a metal.", "", "Tin."),
        ("Name a metal.", "", "Zinc."),
        ("Name a river.", "", "Po"),
        ("Hi", "", "Ho"),
        ("a", "", "b"),
    ]
    assert rows[0].id.startswith("pair-")
    assert [row.id for row in (rows[1], rows[4])] == ["7", "own"]
    assert read_rows(path, Instance)[0].id == rows[0].id, "made from the content"
    plain = put(tmp_path / "plain.jsonl", {"instruction": "Name a metal."})
    assert read_rows(plain, Instruction)[0].id.startswith("ins-")


def test_a_seeds_instance_may_have_other_keys_and_a_null_input(tmp_path: Path) -> None:
    pair = {"input": None, "output": "Po", "explanation": "a river"}
    row = {"id": "s", "seed_id": "s", "name": "", "instruction": "Name a river."}
    path = put(tmp_path / "s", row | {"instances": [pair], "is_classification": False})
    [seed] = read_rows(path, Seed)
    assert (seed.instances[0].input, seed.instances[0].output) == ("", "Po")


def test_an_object_with_a_list_is_a_row_where_others_follow_or_it_has_an_id(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [{"data": [{"a": 1}]}, {"data": [{"a": 2}]}]
    path.write_bytes(lines(rows))
    assert [row for _, row in iter_objects(path)] == rows
    path.write_bytes(lines([{"id": "x", "data": [{"a": 1}]}]))
    assert [row for _, row in iter_objects(path)] == [{"id": "x", "data": [{"a": 1}]}]
