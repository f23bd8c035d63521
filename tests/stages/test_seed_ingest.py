"""Seeds in: what is accepted, what is refused and how."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Seed

SEED: dict[str, Any] = {
    "id": "seed_0",
    "name": "sort",
    "instruction": "Sort the words.",
    "instances": [{"input": "b a", "output": "a b"}],
    "is_classification": False,
}


def ingest(folder: Path, *arguments: str) -> int:
    return main(["seed-ingest", "--seeds", str(folder / "out" / "seeds"), *arguments])


def test_the_packaged_seeds_are_175(tmp_path: Path) -> None:
    assert ingest(tmp_path) == 0
    rows = read_rows(tmp_path / "out" / "seeds", Seed)
    assert len(rows) == 175
    assert {row.licence for row in rows} == {"Apache-2.0"}
    assert len({row.id for row in rows}) == 175


def test_the_public_seeds_go_through_unchanged(tmp_path: Path) -> None:
    data = os.environ.get("REFINE_AF_TEST_DATA")
    if not data:
        pytest.skip("REFINE_AF_TEST_DATA is not set")
    path = Path(data) / "self_instruct" / "seed_tasks.jsonl"
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 0
    rows = read_rows(tmp_path / "out" / "seeds", Seed)
    with path.open(encoding="utf-8") as source:
        public = [json.loads(line) for line in source]
    assert [row.instruction for row in rows] == [row["instruction"] for row in public]
    assert [[pair.model_dump() for pair in row.instances] for row in rows] == [
        row["instances"] for row in public
    ]


def line(**changes: object) -> str:
    return json.dumps({**SEED, **changes}) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no seed in it"),
        ("not json\n", ":1: not JSON at column 1"),
        (line() + line(), ":2: field 'id': 'seed_0' is also on line 1"),
        (line(instruction=""), ":1: SeedTask field 'instruction'"),
        (line(instruction="  "), ":1: field 'instruction': it is blank"),
        (line(instances=[]), ":1: field 'instances': it is empty"),
        (line(instances=[{"input": "x"}]), ":1: SeedTask field 'instances.0.output'"),
        (line(is_classification="perhaps"), ":1: SeedTask field 'is_classification'"),
        ('{"id": "\\ud800"}\n', ":1: field 'id' holds a lone surrogate"),
        ('{"id": "a\\u0000"}\n', ":1: field 'id' holds a NUL"),
    ],
)
def test_bad_seeds_name_line_and_field_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(content)
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 65
    said = capsys.readouterr().err.strip().split("\n")[-1]
    assert message in said
    assert str(path) in said
    assert not (tmp_path / "out" / "seeds").exists()


@pytest.mark.parametrize(
    ("uri", "code", "message"),
    [
        ("missing.jsonl", 65, "missing.jsonl: no such file"),
        ("builtin:seed", 64, "there are: builtin:seeds"),
        ("ftp://host/seeds.jsonl", 64, "allowed: a local path"),
    ],
)
def test_a_source_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], uri: str, code: int, message: str
) -> None:
    assert ingest(tmp_path, "--seeds-uri", uri) == code
    assert message in capsys.readouterr().err


def test_seeds_that_changed_since_the_check_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ingest(tmp_path, "--seeds-digest", "0" * 64) == 65
    assert "run check_inputs again" in capsys.readouterr().err


def test_parquet_seeds(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.Table.from_pylist([SEED]), tmp_path / "seeds.parquet")
    assert ingest(tmp_path, "--seeds-uri", str(tmp_path / "seeds.parquet")) == 0
    rows = read_rows(tmp_path / "out" / "seeds", Seed)
    assert [row.instruction for row in rows] == ["Sort the words."]


def test_an_output_that_cannot_be_written_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file where a folder is needed")
    assert ingest(tmp_path) == 69
    assert str(tmp_path / "out") in capsys.readouterr().err


def test_a_wrong_option_gives_the_code_of_a_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seed-ingest", "--seed", "x"]) == 64
    assert "--seeds" in capsys.readouterr().err


def test_one_task_under_two_ids_is_refused_here_and_not_by_the_next_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given.jsonl"
    lines = [SEED, SEED | {"id": "other", "name": "x"}, SEED | {"id": "seed_2"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 65
    assert "it is the task of line" in capsys.readouterr().err
