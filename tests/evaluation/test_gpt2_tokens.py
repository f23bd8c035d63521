"""The cross-lingual track's tokens: from a file, through the command and the stages."""

import json
from pathlib import Path
from typing import Any

import pytest

from refine_af.cli import main
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.evaluation.gpt2_tokens import gpt2_tokenizer
from refine_af.evaluation.metrics import rouge_l
from refine_af.runner import run_stage

tokenizers = pytest.importorskip("tokenizers")

BYTES = {"\u00c3", "\u00a9", "\u0120"}  # how byte-level vocabularies write C3, A9 and 20


def byte_level(path: Path, space: bool = True) -> Path:
    """Write a tokenizer of single bytes, made as GPT-2's is, with one merge: "r" + "e"."""
    letters = sorted({*"abcdefghijklmnopqrstuvwxyz", *BYTES})
    vocabulary = {token: number for number, token in enumerate([*letters, "re"])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[("r", "e")]))
    if space:
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.save(str(path))
    return path


def test_tokens_are_bytes_without_the_mark_of_a_space(tmp_path: Path) -> None:
    tokens = gpt2_tokenizer(byte_level(tmp_path / "tokenizer.json"))
    # the space before "re" is a token of its own here; without its mark it stays, empty
    assert tokens("\u00e9 re") == ["\u00c3", "\u00a9", "", "re"]
    assert rouge_l(tokens("\u00e9t"), tokens("\u00e9")) == pytest.approx(2 * 2 / (3 + 2))


def test_files_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; give GPT-2's"):
        gpt2_tokenizer(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"not a tokenizer.json .*give GPT-2's"):
        gpt2_tokenizer(tmp_path / "other.json")
    with pytest.raises(DataError, match="not byte-level; give GPT-2's"):
        gpt2_tokenizer(byte_level(tmp_path / "words.json", space=False))


def test_the_command_scores_both_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golds = [
        {"id": "a", "task_id": "t", "task_category": "c", "references": ["\u00e9"]},
        {"id": "b", "task_id": "u", "task_category": "c", "references": ["\u00e9"]},
    ]
    golds[1]["track"] = "xlingual"
    texts = ["".join(json.dumps(row) + "\n" for row in golds)]
    texts.append("".join(json.dumps({"id": key, "prediction": "\u00e9t"}) + "\n" for key in "ab"))
    for name, text in zip(("references", "predictions"), texts, strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = ["score-predictions", "--references", str(tmp_path / "references")]
    command += ["--predictions", str(tmp_path / "predictions")]
    assert main(command) == 64
    assert "gpt2_tokenizer" in capsys.readouterr().err
    assert main([*command, "--gpt2-tokenizer", str(byte_level(tmp_path / "tokenizer.json"))]) == 0
    found = json.loads(capsys.readouterr().out)["per_task"]
    assert found["t"]["rougeL"] == 0.0  # no ASCII word
    assert found["u"]["rougeL"] == 80.0  # 2 of 3 tokens, 2 of 2


def foreign_tasks(folder: Path) -> str:
    value: dict[str, Any] = {"Definition": ["Say e."], "Categories": ["Word Analogy"]}
    value |= {"Output_language": ["French"]}
    value |= {"Instances": [{"id": "i", "input": "x", "output": ["\u00e9"]}]}
    (folder / "task1.json").write_text(json.dumps(value), encoding="utf-8")
    return str(folder / "task1.json")


@pytest.mark.parametrize(
    ("stage", "outputs", "model"),
    [
        (
            "check_inputs",
            ("manifest", "seeds_digest", "model_digest", "tasks_digest"),
            "builtin:fixture",
        ),
        ("evaluate", ("predictions", "scores"), "builtin:fixture"),
    ],
)
def test_a_stage_without_the_file_stops_before_any_work(
    tmp_path: Path, stage: str, outputs: tuple[str, ...], model: str
) -> None:
    with pytest.raises(ParameterError, match=r"1 of 1 tasks .* task1 the first.* gpt2_tokenizer"):
        run_stage(
            stage,
            inputs={},
            outputs={name: str(tmp_path / "out" / name) for name in outputs},
            params={"tasks_uri": foreign_tasks(tmp_path), "model": model}
            | ({"reward": "embedded"} if stage == "check_inputs" else {}),
            work_dir=str(tmp_path / "work"),
        )


def test_the_stage_scores_with_the_tokens(tmp_path: Path) -> None:
    script = tmp_path / "answers.jsonl"
    script.write_text(json.dumps({"text": "\u00e9t"}) + "\n", encoding="utf-8")
    metrics = run_stage(
        "evaluate",
        inputs={},
        outputs={name: str(tmp_path / name) for name in ("predictions", "scores")},
        params={
            "tasks_uri": foreign_tasks(tmp_path),
            "engine": "scripted",
            "model": str(script),
            "gpt2_tokenizer": str(byte_level(tmp_path / "tokenizer.json")),
        },
        work_dir=str(tmp_path / "work"),
    )
    assert metrics["rouge_l"] == pytest.approx(80)
