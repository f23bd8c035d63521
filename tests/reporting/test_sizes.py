"""Scores over data size, and what the report stage holds two arms to."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_run import made_run

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Prediction
from refine_af.reporting.inputs import ArmInputs, ReportInputs, SizePoint
from refine_af.reporting.reading import read_inputs
from refine_af.reporting.recorded import Recorded
from refine_af.reporting.report import render
from refine_af.reporting.sizes import find_curve
from refine_af.runner import run_stage


def answers(*scores: float) -> list[Prediction]:
    return [
        Prediction(
            id=f"p{place}",
            task=f"task{place}",
            category="Word Analogy",
            instance=f"i{place}",
            prediction="p",
            references=("r",),
            rouge_l=score,
            exact_match=0.0,
        )
        for place, score in enumerate(scores)
    ]


def used(count: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{"source": "seed", "cut": False, "tokens": 1, "reason": ""}]
    return rows + [{"source": "instance", "cut": False, "tokens": 1, "reason": ""}] * count


def test_each_size_is_compared_and_the_whole_data_comes_last() -> None:
    arms = {
        "rl": ArmInputs(predictions=answers(0.8, 0.8, 0.8), used=used(9)),
        "baseline": ArmInputs(predictions=answers(0.2, 0.2, 0.2), used=used(9)),
    }
    points = [
        SizePoint("rl", 4, answers(0.5, 0.1, 0.3)),
        SizePoint("baseline", 4, answers(0.4, 0.2, 0.3)),
        SizePoint("rl", 2, answers(0.0, 0.0, 0.3)),
    ]
    curve = find_curve(ReportInputs(arms=arms, sizes=points, resamples=100))
    assert curve is not None
    assert [size.rows for size in curve.sizes] == [2, 4, 9]
    small, middle, whole = curve.sizes
    assert small.result is None
    assert small.scores == {"rl": pytest.approx(0.1)}
    assert middle.result is not None
    assert (middle.result.wins, middle.result.ties, middle.result.losses) == (1, 1, 1)
    assert middle.scores == {"rl": pytest.approx(0.3), "baseline": pytest.approx(0.3)}
    assert whole.result is not None
    assert whole.result.win_share == 1.0


def test_without_sizes_there_is_no_curve_and_with_them_a_table_and_a_chart() -> None:
    assert find_curve(ReportInputs()) is None
    report = render(made_run())
    assert "Over data size" in report.html
    assert "Score over data size" in report.html
    assert "Over data size" in report.markdown
    assert "rl_15_rouge_l" in report.metrics


def report_metrics(folder: Path, ours: dict[str, object], theirs: dict[str, object]) -> str:
    """Run the report stage on two arms whose fine-tuning had these provenances."""
    for arm, provenance, score in (("rl", ours, 0.9), ("baseline", theirs, 0.1)):
        leave(folder, f"evaluate-{arm}", predictions=answers(score, score))
        tuned = leave(
            folder,
            f"train_sft-{arm}",
            used=[{**row, "source": "instance"} for row in used(2)],
        )
        (tuned / "provenance").write_text(json.dumps(provenance), encoding="utf-8")
    found: str = json.loads(reported(folder).read_text(encoding="utf-8"))["answer"]
    return found


def leave(folder: Path, task: str, **files: list[Any]) -> Path:
    """Write rows as a task left them, and return the task's folder."""
    target = folder / "artifacts" / task
    target.mkdir(parents=True)
    for name, rows in files.items():
        write_rows(target / name, rows)
    return target


def reported(folder: Path) -> Path:
    """Run the report stage on a run and return the path of its result."""
    outputs = {name: str(folder / "out" / name) for name in ("report", "summary", "result")}
    inputs = {"run": str(folder)}
    run_stage("report", inputs=inputs, outputs=outputs, params={"resamples": 100})
    return Path(outputs["result"])


SAME: dict[str, object] = {
    "params": {"learning_rate": 0.1, "seed": 1, "model_digest": "d"},
    "code": "1",
}


@pytest.mark.parametrize(
    "other",
    [
        {**SAME, "code": "2"},
        {**SAME, "params": {"learning_rate": 0.2, "seed": 1, "model_digest": "d"}},
        {**SAME, "params": {"learning_rate": 0.1, "seed": 2, "model_digest": "d"}},
        {**SAME, "params": {"learning_rate": 0.1, "seed": 1, "model_digest": "e"}},
        {**SAME, "inputs": {"instructions": "other"}},
    ],
)
def test_a_share_needs_arms_that_differ_in_nothing_else(
    tmp_path: Path, other: dict[str, object]
) -> None:
    assert "No win share is given" in report_metrics(tmp_path, SAME, other)


def test_equal_arms_get_their_share(tmp_path: Path) -> None:
    answer = report_metrics(tmp_path, SAME, SAME)
    assert answer.startswith("rl scores higher than baseline on 2 of 2 decided tasks (100.0 %); 0")
    page = (tmp_path / "out" / "report").read_text(encoding="utf-8")
    assert "Fewer than 6 tasks are decided" in page


def test_sizes_are_found_by_the_names_of_their_tasks(tmp_path: Path) -> None:
    for task in ("evaluate-rl-20", "evaluate-rl-4", "evaluate-baseline-20", "evaluate-no-3"):
        leave(tmp_path, task, predictions=answers(0.5))
    inputs = read_inputs(Recorded([tmp_path]), 1, 100)
    points = [(point.arm, point.rows) for point in inputs.sizes]
    assert points == [("rl", 4), ("rl", 20), ("baseline", 20)]
    assert inputs.arms == {}


def test_what_ran_again_stands_for_the_earlier_runs_task(tmp_path: Path) -> None:
    leave(tmp_path / "run", "evaluate-rl", predictions=answers(0.5))
    leave(tmp_path / "run", "evaluate-start", predictions=answers(0.25))
    leave(tmp_path / "again", "evaluate-rl", predictions=answers(0.75))
    recorded = Recorded([tmp_path / "run", tmp_path / "again"])
    arms = read_inputs(recorded, 1, 100).arms
    assert {name: arm.predictions[0].rouge_l for name, arm in arms.items()} == {
        "rl": 0.75,
        "start": 0.25,
    }


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    target = leave(tmp_path, "check_inputs")
    (target / "manifest").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"check_inputs/manifest: .*not JSON at column 2"):
        reported(tmp_path)


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no artifacts of a task in its inputs"):
        reported(tmp_path)
