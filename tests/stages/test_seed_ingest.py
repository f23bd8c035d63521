"""Seeds in: what is accepted, what is refused and how."""

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import ModelCall, Seed
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.runner import run_stage
from refine_af.stages.seed_ingest import SeedParams

SEED: dict[str, Any] = {
    "id": "seed_0",
    "name": "sort",
    "instruction": "Sort the words.",
    "instances": [{"input": "b a", "output": "a b"}],
    "is_classification": False,
}


def ingest(folder: Path, *arguments: str) -> int:
    outputs = ["--seeds", str(folder / "out" / "seeds"), "--calls", str(folder / "out" / "calls")]
    return main(["seed-ingest", *outputs, *arguments])


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
        ('{"a": 1},\n{"a": 2},\n', "JSON Lines have no commas between rows"),
        ('{"a": 1}\r{"a": 2}\r', "end with a carriage return alone"),
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
    assert main(["seed-ingest", "--seads", "x"]) == 64
    assert "--seeds" in capsys.readouterr().err


def test_one_task_under_two_ids_is_refused_here_and_not_by_the_next_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "given.jsonl"
    lines = [SEED, SEED | {"id": "other", "name": "x"}, SEED | {"id": "seed_2"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 65
    assert "it is the task of line" in capsys.readouterr().err


ALPACA = {"instruction": "Name the largest planet.", "input": None, "output": "Jupiter."}


def seeds_of(folder: Path, rows: list[dict[str, Any]], *arguments: str) -> list[Seed]:
    path = folder / "given.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "".join(json.dumps(row) + "\n" for row in rows).encode())
    assert ingest(folder, "--seeds-uri", str(path), *arguments) == 0
    return read_rows(folder / "out" / "seeds", Seed)


def test_alpaca_rows_need_no_id_and_no_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = {"instruction": "Classify the sentiment.", "input": "So dull.", "output": "negative"}
    first, second = seeds_of(tmp_path, [ALPACA, label, ALPACA])
    assert (first.instances[0].input, first.instances[0].output) == ("", "Jupiter.")
    assert (first.is_classification, second.is_classification) == (False, True)
    assert first.seed_id.startswith("task-")
    said = capsys.readouterr().err
    assert (
        "2 seeds, read 2 as Alpaca; 1 repeated rows left out;"
        " kinds of tasks: 2 by rule; classification: 1" in said
    )
    [declared] = seeds_of(tmp_path, [ALPACA], "--classification", "yes")
    assert declared.is_classification
    assert "kinds of tasks: 1 declared; classification: 1" in capsys.readouterr().err


SENTIMENT = {"instruction": "What does the reviewer feel?", "input": "So dull.", "output": "Bad."}


def scripted(folder: Path) -> list[str]:
    """Return the options of a model that takes tasks about reviewers for classification."""
    script = folder / "script.jsonl"
    script.write_text(
        '{"match": "reviewer feel?", "text": " Yes"}\n{"match": "planet", "text": " No"}\n'
    )
    return ["--classification", "ask", "--engine", "scripted", "--model", str(script)]


def test_a_model_is_asked_for_kinds_that_rows_do_not_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = SENTIMENT | {"instruction": "Feel the reviewer feel?", "is_classification": False}
    rows = seeds_of(tmp_path, [ALPACA, SENTIMENT, said], *scripted(tmp_path))
    assert [row.is_classification for row in rows] == [False, True, False]
    assert "kinds of tasks: 2 asked, 1 given; classification: 1" in capsys.readouterr().err
    calls = read_rows(tmp_path / "out" / "calls", ModelCall)
    assert [call.parents for call in calls] == [(rows[0].id,), (rows[1].id,)]
    assert [call.text for call in calls] == [" No", " Yes"]


def test_seeds_are_the_same_whoever_decides(tmp_path: Path) -> None:
    """The kind is no part of a seed's id."""
    ruled = seeds_of(tmp_path, [ALPACA, SENTIMENT])
    asked = seeds_of(tmp_path, [ALPACA, SENTIMENT], *scripted(tmp_path))
    assert [row.id for row in ruled] == [row.id for row in asked]


class StoppedOnce:
    """Takes everything for classification; the second call of the first life is a Ctrl-C."""

    determinism: Determinism = "exact"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Answer yes, or stop."""
        self.asked.append(len(requests))
        if len(self.asked) == 2:
            raise KeyboardInterrupt
        return [Completion(request.id, "Yes", "stop", 9, 1) for request in requests]

    def describe(self) -> dict[str, str]:
        """Return a name."""
        return {"engine": "test"}

    def close(self) -> None:
        """Nothing is held."""


def test_what_was_asked_once_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "given.jsonl"
    rows = [{"instruction": f"Name planet {number}.", "output": "Mars."} for number in range(300)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outputs = {name: str(tmp_path / name) for name in ("seeds", "calls", "metrics", "telemetry")}
    engine = StoppedOnce()
    for life in range(2):
        with pytest.raises(KeyboardInterrupt) if life == 0 else nullcontext():
            run_stage(
                "seed_ingest",
                inputs={},
                outputs=outputs,
                params={"seeds_uri": str(path), "classification": "ask"},
                work_dir=str(tmp_path / "work"),
                engine=engine,
            )
    assert engine.asked == [256, 44, 44]
    metrics = json.loads((tmp_path / "metrics").read_text())
    assert (metrics["kinds_asked"], metrics["classification"]) == (300, 300)
    assert len(read_rows(tmp_path / "calls", ModelCall)) == 300
    assert json.loads((tmp_path / "telemetry").read_text())["prompt_tokens"] == 2700


def test_the_embedded_model_is_asked(tmp_path: Path) -> None:
    """The real engine, as generated instructions are asked about."""
    options = ("--classification", "ask", "--model", "builtin:tiny")
    rows = seeds_of(tmp_path, [ALPACA, SENTIMENT], *options)
    calls = read_rows(tmp_path / "out" / "calls", ModelCall)
    assert [call.text.strip() == "Yes" for call in calls] == [row.is_classification for row in rows]


def test_a_model_that_is_not_asked_decides_nothing() -> None:
    """Neither its weights nor its name are part of the identity, and nothing is opened."""
    ruled = SeedParams.parse({"model": "org/model", "engine": "vllm"})
    assert ruled.method_values().keys().isdisjoint(EngineParams.model_fields)
    assert [item.parameter for item in ruled.content()] == ["seeds_uri"]
    asked = SeedParams.parse({"model": "org/model", "classification": "ask"})
    assert asked.method_values()["model"] == "org/model"
    assert [item.parameter for item in asked.content()] == ["model", "seeds_uri"]


def test_fields_of_another_name_are_read_through_a_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"question": "Name a metal.", "answer": "Tin.", "n": 7}
    fields = "instruction=question,output=answer,id=n"
    [seed] = seeds_of(tmp_path, [row], "--field-map", fields)
    assert (seed.seed_id, seed.instruction, seed.instances[0].output) == (
        "7",
        "Name a metal.",
        "Tin.",
    )
    path = tmp_path / "given.jsonl"
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 65
    said = capsys.readouterr().err.strip().split("\n")[-1]
    assert ":1: its fields match no known schema (Self-Instruct, Alpaca" in said
    assert "perhaps field_map=instruction=question,output=answer" in said
    assert '"question": "Name a metal."' in said
    assert ingest(tmp_path, "--seeds-uri", str(path), "--field-map", "instruction=ask") == 65
    assert "it has no field 'ask'" in capsys.readouterr().err


def test_plain_lines_are_seeds_without_instances(tmp_path: Path) -> None:
    path = tmp_path / "tasks.txt"
    path.write_text("Name a metal that melts.\nName a long river.\n")
    assert ingest(tmp_path, "--seeds-uri", str(path)) == 0
    rows = read_rows(tmp_path / "out" / "seeds", Seed)
    assert [row.instruction for row in rows] == ["Name a metal that melts.", "Name a long river."]
    assert not any(row.instances for row in rows)


def test_our_own_rows_are_seeds_again(tmp_path: Path) -> None:
    assert ingest(tmp_path) == 0
    first = (tmp_path / "out" / "seeds").read_bytes()
    (tmp_path / "again.jsonl").write_bytes(first)
    assert ingest(tmp_path, "--seeds-uri", str(tmp_path / "again.jsonl")) == 0
    assert len(read_rows(tmp_path / "out" / "seeds", Seed)) == 175
