"""The evaluate stage against the scripted engine: failures of the engine, and of one question."""

import json
from pathlib import Path

import pytest

from refine_af.contracts.errors import DependencyError, ParameterError
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.evaluation.params import AnswerParams
from refine_af.runner import run_stage
from refine_af.stages import evaluate


class FailingEngine:
    """Leaves the first ``failures`` questions of a run unanswered."""

    determinism = "exact"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0

    def generate(self, requests: list[Request], sampling: Sampling) -> list[Completion]:
        """Answer yes, after the failures."""
        found = []
        for request in requests:
            failed = self.asked < self.failures
            self.asked += 1
            finish, why = ("error", "prompt too long") if failed else ("stop", "")
            text = "" if failed else "yes"
            found.append(Completion(request.id, text, finish, 3, 1, error=why))  # type: ignore[arg-type]
        return found

    def close(self) -> None:
        """Nothing to free."""

    def describe(self) -> dict[str, str]:
        """Name the engine."""
        return {"engine": "failing"}


def tasks(folder: Path, count: int) -> Path:
    instances = [{"id": f"i{n}", "input": f"{n}", "output": ["yes"]} for n in range(count)]
    value = {"Definition": ["Say yes."], "Categories": ["Word Analogy"], "Instances": instances}
    (folder / "task1.json").write_text(json.dumps(value), encoding="utf-8")
    return folder / "task1.json"


def evaluated(
    tmp_path: Path, engine: FailingEngine, monkeypatch: pytest.MonkeyPatch, count: int
) -> dict[str, float]:
    def opened(params: EngineParams, adapter: Path | None) -> FailingEngine:
        return engine

    monkeypatch.setattr(evaluate, "open_engine", opened)
    return run_stage(
        "evaluate",
        inputs={},
        outputs={name: str(tmp_path / "out" / name) for name in ("predictions", "scores")},
        params={"tasks_uri": str(tasks(tmp_path, count)), "instances": count},
        work_dir=str(tmp_path / "work"),
    )


def test_one_unanswered_question_is_an_empty_answer_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = evaluated(tmp_path, FailingEngine(1), monkeypatch, 100)
    assert (metrics["failed"], metrics["exact_match"]) == (1, 99.0)
    lines = (tmp_path / "out" / "predictions").read_text(encoding="utf-8").split("\n")
    row = json.loads(lines[0])
    assert (row["prediction"], row["rouge_l"], row["failed"]) == ("", 0.0, "prompt too long")


def test_an_engine_that_is_down_ends_the_stage_and_a_retry_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DependencyError, match=r"2 of 100 requests were not .*prompt too long"):
        evaluated(tmp_path, FailingEngine(2), monkeypatch, 100)
    again = FailingEngine(0)
    assert evaluated(tmp_path, again, monkeypatch, 100)["failed"] == 0
    assert again.asked == 2


def test_escapes_in_the_stop_text() -> None:
    assert AnswerParams(stop="\\n\\n").stop_text == "\n\n"
    assert AnswerParams(stop="Fin\\t\u00e9\u4e2d").stop_text == "Fin\t\u00e9\u4e2d"
    with pytest.raises(ParameterError, match="write a backslash twice"):
        AnswerParams.parse({"stop": "\\"}, where="evaluate")
