import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.records import Instruction, Rejected, content_id

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40
)


@given(st.lists(TEXT, unique=True, max_size=8))
def test_what_is_written_is_read_back(texts: list[str]) -> None:
    rows = [Instruction.make(text, (), 0, place, 0) for place, text in enumerate(texts)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        assert write_rows(path, rows) == len(rows)
        assert read_rows(path, Instruction) == rows


def test_a_line_separator_inside_a_string_does_not_split_a_row(tmp_path: Path) -> None:
    row = Instruction.make("one\u2028two\u0085three", (), 0, 0, 0)
    write_rows(tmp_path / "rows", [row])
    assert (tmp_path / "rows").read_text(encoding="utf-8").count("\n") == 1
    assert read_rows(tmp_path / "rows", Instruction) == [row]


GOOD = b'{"id": "a", "instruction": "Sort."}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"not json", ":2: not JSON at column 1"),
        (b"[]", ":2: found list; it must be a JSON object"),
        (b'{"id": "b"}', ":2: Instruction field 'instruction': Field required"),
        (b'{"id": "b", "instruction": 3}', "field 'instruction': Input should be a valid string"),
        (b'{"id": "b", "instruction": "\\ud800"}', "'instruction' holds a lone surrogate"),
        (b'{"id": "b", "instruction": "a\\u0000b"}', "'instruction' holds a NUL"),
        (b'{"id": "b", "instruction": "\xff"}', ":2: not UTF-8 at byte 29"),
        (b'{"id": NaN}', ":2: NaN is not JSON"),
        (b'{"id": [1e999]}', ":2: 1e999 is too large for a number"),
        (b"[" * 100_000, "nested too deeply"),
        (GOOD, "row 2 repeats the id 'a' of row 1"),
    ],
)
def test_a_bad_row_names_file_line_and_field(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n")
    with pytest.raises(DataError) as caught:
        read_rows(path, Instruction)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_huge_line_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "' + b"x" * (17 * 1024 * 1024) + b'"}\n')
    with pytest.raises(DataError, match="longer than"):
        list(iter_objects(path))


def test_ids_depend_on_content_and_parents_only() -> None:
    one = Instruction.make("Sort.", ("p",), 0, 0, 0)
    assert one.id == Instruction.make("Sort.", ("p",), 0, 0, 0).id
    assert one.id != Instruction.make("Sort.", ("q",), 0, 0, 0).id
    # printf '["x"]' | sha256sum
    assert content_id("k", "x") == "k-cd65ea2c2ad99e94"


def test_a_rejection_names_its_neighbour() -> None:
    row = Rejected.make("s", "similar", "text", ("p",), neighbour="n", score=0.9)
    assert json.loads(row.model_dump_json())["neighbour"] == "n"
