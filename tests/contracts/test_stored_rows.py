"""Rows that stay in their file are those that reading all of them gives."""

import gzip
import json
import random
from pathlib import Path

import pytest

from refine_af.contracts import stored_rows as module
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Instruction
from refine_af.contracts.stored_rows import JoinedRows, RowSpool, stored_objects, stored_rows


def instructions(count: int) -> list[Instruction]:
    draw = random.Random(2)
    texts = [f"Say {number}\u2028 é" + "x" * draw.randint(0, 400) for number in range(count)]
    return [Instruction.make(text, (), number, 0, 0) for number, text in enumerate(texts)]


def test_against_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_TOGETHER", 1000)  # some rows together, some alone
    rows = instructions(50)
    write_rows(tmp_path / "rows", rows)
    stored = stored_rows(tmp_path / "rows", Instruction)
    assert len(stored) == 50
    assert list(stored) == rows == list(stored)
    assert list(zip(stored, stored, strict=True)) == list(zip(rows, rows, strict=True))
    assert (stored[0], stored[49], stored[-1]) == (rows[0], rows[49], rows[49])
    for start, stop in ((0, 7), (3, 50), (48, 90), (9, 4), (-5, None)):
        assert list(stored[start:stop]) == rows[start:stop]
    with pytest.raises(IndexError):
        stored[50]
    joined = JoinedRows([stored, [], rows[:3]])
    assert list(joined) == [*rows, *rows[:3]]
    assert (len(joined), joined[49], joined[52], joined[-1]) == (53, rows[49], rows[2], rows[2])
    assert joined[48:51] == [rows[48], rows[49], rows[0]]


@pytest.mark.parametrize("form", ["blank lines", "array", "gzip", "pretty", "wrapped", "mark"])
def test_rows_of_every_form_of_file(tmp_path: Path, form: str) -> None:
    rows = [
        {"instruction": f"Say {number}", "output": "é", "input": None, "n": [number]}
        for number in range(5)
    ]
    lines = [json.dumps(row) for row in rows]
    text = {
        "blank lines": "\n\n".join(lines) + "\n \n",
        "array": json.dumps(rows),
        "gzip": "\n".join(lines),
        "pretty": "\n".join(json.dumps(row, indent=2) for row in rows),
        "wrapped": json.dumps({"rows": rows, "version": "1"}),
        "mark": "\ufeff" + "\n".join(lines),
    }[form]
    path = tmp_path / "rows.json"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if form == "gzip" else data)
    assert list(stored_objects(path)) == rows
    assert list(stored_rows(path, Instance)) == read_rows(path, Instance)


@pytest.mark.parametrize(
    "lines",
    [
        ['{"id": "a", "instruction": "x"}', '{"id": "b", "instruction": ""}'],
        ['{"id": "a", "instruction": "x"}', "[1]"],
        ['{"id": "a", "instruction": "x"}', '{"id": "b", "instruction": "x"}'] * 2,
    ],
)
def test_refusals_are_those_of_reading_all(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "rows").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as expected:
        read_rows(tmp_path / "rows", Instruction)
    with pytest.raises(DataError) as refused:
        stored_rows(tmp_path / "rows", Instruction)
    assert str(refused.value) == str(expected.value)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"")
    assert list(stored_rows(tmp_path / "rows", Instruction)) == []


def test_a_file_that_shrinks_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", instructions(5))
    stored = stored_rows(tmp_path / "rows", Instruction)
    (tmp_path / "rows").write_bytes(b"{}")
    with pytest.raises(DataError, match="shorter"):
        list(stored)


def test_a_spool_gives_back_what_was_added(tmp_path: Path) -> None:
    spool = RowSpool(json.loads, tmp_path)
    assert list(spool.rows()) == []
    for number in range(3):
        spool.add({"n": number, "text": "é\n"})
    assert [row["n"] for row in spool.rows()] == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []
