"""Instances through the whole stage, written by a script instead of a model."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.contracts.stage import Metrics
from refine_af.runner import run_stage

DATA = os.environ.get("REFINE_AF_TEST_DATA")
TASK = {
    "Categories": ["Hotels"],
    "Definition": ["Given a review of a hotel, decide whether its writer would come back."],
    "Instances": [
        {
            "id": "h-7",
            "input": "The lift was out of order for three days and nobody at the desk minded.",
            "output": ["no"],
        }
    ],
}


def instructions(folder: Path, texts: list[str]) -> str:
    rows = [Instruction.make(text, ("seed",), place, 0, 0) for place, text in enumerate(texts)]
    write_rows(folder / "instructions.jsonl", rows)
    return str(folder / "instructions.jsonl")


def script(folder: Path, lines: list[dict[str, str]]) -> str:
    (folder / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder / "script.jsonl")


def run(folder: Path, texts: list[str], answers: list[dict[str, str]], **params: Any) -> Metrics:  # noqa: ANN401
    names = ("instances", "rejected", "calls")
    return run_stage(
        "generate_instances",
        inputs={"instructions": instructions(folder, texts)},
        outputs={name: str(folder / name) for name in names},
        params={"engine": "scripted", "model": script(folder, answers), "split": "none"} | params,
    )


def rejected(folder: Path) -> list[Rejected]:
    return read_rows(folder / "rejected", Rejected)


def test_what_repeats_an_evaluation_is_refused_with_the_text_it_repeats(tmp_path: Path) -> None:
    (tmp_path / "hotels.json").write_text(json.dumps(TASK))
    texts = [
        "Judge the mood of the review.",
        "Say what the guest wrote about the lift.",
        "Given a review of a hotel decide whether the writer would come back.",
        "Sum up the review in three words.",
    ]
    leak = "Once THE LIFT was out of order for three days - and nobody came."
    answers = [
        {"match": texts[0], "text": f"Input: {leak}\nOutput: angry"},
        {"match": texts[1], "text": f"Input: a review\nOutput: {leak}"},
        {"match": texts[2], "text": "Input: A fine house.\nOutput: yes"},
        {"match": texts[3], "text": "Input: The room was quiet.\nOutput: a quiet room"},
    ]
    counts = run(tmp_path, texts, answers, style="plain", tasks_uri=str(tmp_path / "hotels.json"))
    assert [row.output for row in read_rows(tmp_path / "instances", Instance)] == ["a quiet room"]
    found = rejected(tmp_path)
    assert [row.reason for row in found] == ["contaminated"] * 3
    assert [row.neighbour for row in found] == ["hotels/h-7"] * 2 + ["hotels/definition"]
    assert found[0].detail.startswith("rouge_l: The lift was out of order for three days and")
    assert counts["contaminated"] == 3
    assert run(tmp_path, texts, answers, style="plain")["contaminated"] == 0


def test_a_refused_pair_takes_no_place_among_the_five(tmp_path: Path) -> None:
    (tmp_path / "hotels.json").write_text(json.dumps(TASK))
    leak = TASK["Instances"][0]["input"]  # type: ignore[index]
    blocks = [f"Example {n}\nInput: review {n}\nOutput: word{n}\n" for n in range(1, 6)]
    text = f"Example 1\nInput: {leak}\nOutput: no\n" + "".join(blocks)
    answers = [{"match": "", "text": text}]
    run(tmp_path, ["Judge it."], answers, tasks_uri=str(tmp_path / "hotels.json"))
    assert len(read_rows(tmp_path / "instances", Instance)) == 5
    assert [row.reason for row in rejected(tmp_path)] == ["contaminated"]


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
def test_every_planted_input_of_real_tasks_is_refused(tmp_path: Path) -> None:
    source = Path(str(DATA)) / "super_ni" / "test_tasks_60x25.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(source.read_bytes()).split(b"\n") if line]
    # Fewer than four tokens are met by chance; the parser reads these marks as its own.
    marks = ("Input", "Output", "Example", "Instruction:", "Task:")
    inputs = [
        line["input"].strip()
        for line in lines
        if len(line["input"].split()) > 8 and not any(mark in line["input"] for mark in marks)
    ]
    planted = list(dict.fromkeys(inputs))[:400]
    assert len(planted) == 400
    texts = [f"Answer question {n}." for n in range(len(planted))]
    answers = [
        {"match": asked, "text": f"Input: {text}\nOutput: an answer"}
        for asked, text in zip(texts, planted, strict=True)
    ]
    counts = run(tmp_path, texts, answers, style="plain", tasks_uri=str(source), max_tokens=100_000)
    assert (counts["contaminated"], counts["instances"]) == (400, 0)
    assert all("/" in str(row.neighbour) for row in rejected(tmp_path))


HOSTILE = (
    ("control", "Input: a\x01b\x1b[2J\nOutput: c\x9f", "unparseable"),
    ("long", "Input: x\nOutput: " + "word " * 20_000, ""),
    ("rubbish", "\ufeff\u202e\u2028" * 50, "unparseable"),
    ("nothing", "", "unparseable"),
    ("failed", "the engine broke\x07", "engine_error"),
)


def test_hostile_completions_are_rows_or_rejections_never_lost(tmp_path: Path) -> None:
    answers = [
        {"match": f"case {name}", "text": text, "finish": "error" if name == "failed" else "stop"}
        for name, text, _ in HOSTILE
    ]
    texts = [f"Do what case {name} asks for." for name, _, _ in HOSTILE]
    counts = run(tmp_path, texts, answers, style="plain", max_tokens=100_000, max_failed=0.2)
    assert counts["instances"] + counts["rejected"] == len(HOSTILE)
    expected = [reason for _, _, reason in HOSTILE if reason]
    assert [row.reason for row in rejected(tmp_path)] == expected
    [long] = read_rows(tmp_path / "instances", Instance)
    assert len(long.output) == 99_999
    assert len(list(iter_objects(tmp_path / "calls"))) == len(HOSTILE)
