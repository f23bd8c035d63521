"""Scoring files of other systems."""

import json
from pathlib import Path

import pytest

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.evaluation.predictions import score_answer, score_predictions
from refine_af.evaluation.tasks import EvaluationTask, TaskInstance


def put(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def gold(key: str, *references: str, track: str = "default") -> dict[str, object]:
    return {
        "id": key,
        "references": list(references),
        "task_id": "task1_x",
        "task_category": "Word Analogy",
        "track": track,
    }


def test_rows_in_reference_order(tmp_path: Path) -> None:
    references = put(tmp_path / "r.jsonl", gold("1", "up"), gold("2", "a cat", "the cats sat"))
    answers = put(
        tmp_path / "p.jsonl",
        {"id": "2", "prediction": "the cat sat"},
        {"id": "1", "prediction": ""},
    )
    first, second = score_predictions(references, answers)
    assert (first.instance, first.rouge_l, first.exact_match) == ("1", 0.0, 0.0)
    # "cats" has four letters and is stemmed, so all three words match.
    assert (second.instance, second.rouge_l, second.exact_match) == ("2", 1.0, 0.0)


def test_same_row_as_from_a_task(tmp_path: Path) -> None:
    instance = TaskInstance("1", "in", ("up",))
    task = EvaluationTask("task1_x", "Word Analogy", "Do.", "default", (instance,))
    references = put(tmp_path / "r.jsonl", gold("1", "up"))
    answers = put(tmp_path / "p.jsonl", {"id": "1", "prediction": "Up."})
    assert score_predictions(references, answers) == [score_answer(task, instance, "Up.")]


def test_cross_lingual_needs_and_uses_its_tokenizer(tmp_path: Path) -> None:
    references = put(tmp_path / "r.jsonl", gold("1", "北京", track="xlingual"), gold("2", "ab"))
    answers = put(
        tmp_path / "p.jsonl", {"id": "1", "prediction": "北平"}, {"id": "2", "prediction": "a"}
    )
    with pytest.raises(ParameterError, match=r"cross-lingual.*tokenizer"):
        score_predictions(references, answers)
    first, second = score_predictions(references, answers, tokenizer=list)
    assert (first.rouge_l, second.rouge_l) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("references", "answers", "expected"),
    [
        ([gold("1", "a")], [{"id": "9", "prediction": "a"}], "1 ids are not in"),
        ([gold("1", "a"), gold("2", "b")], [{"id": "1", "prediction": "a"}], "1 of 2 instances"),
        ([gold("1")], [{"id": "1", "prediction": "a"}], "r.jsonl:1: field 'references' is empty"),
        ([gold("1", "a"), gold("1", "b")], [], "r.jsonl:2: id '1' was already used at"),
        ([gold("1", "a")], [{"id": "1"}], "p.jsonl:1: field 'prediction' must be a string"),
        ([gold("1", "a")], [{"id": "1", "prediction": "a"}] * 2, "p.jsonl:2: id '1' was already"),
        ([gold("1", "a", track="x")], [], "track is 'x'; it must be default or xlingual"),
        ([{"id": "1", "references": "a"} | gold("1") | {"references": "a"}], [], "list of strings"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path,
    references: list[dict[str, object]],
    answers: list[dict[str, object]],
    expected: str,
) -> None:
    with pytest.raises(DataError) as caught:
        score_predictions(
            put(tmp_path / "r.jsonl", *references), put(tmp_path / "p.jsonl", *answers)
        )
    assert expected in str(caught.value)
