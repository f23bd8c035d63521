"""``refine-af runs`` and ``compare``, and artifacts of two configurations in one folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_folder import shared_folder
from reading import rows

from refine_af.cli import main
from refine_af.contracts.errors import DataError
from refine_af.lineage.mixture import mixed, refuse_mixture
from refine_af.lineage.run import open_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(shared_folder(), tmp_path / "runs" / "first"))
    set_spec(folder, planned={"dedup_filter": {"max_rouge_l": 0.7, "seed": 1.0}}, preset="made")
    report = folder / "artifacts" / "report"
    report.mkdir()
    result = {"answer": "rl wins", "arms": {"rl": {"rouge_l": 50.0}, "start": {"rouge_l": 40.0}}}
    (report / "result").write_text(json.dumps(result), encoding="utf-8")
    telemetry = {"stage": "report", "label": "", "started": 1_795_000_000.0}
    (report / "provenance").write_text("{}", encoding="utf-8")
    (report / "telemetry").write_text(json.dumps(telemetry), encoding="utf-8")
    return folder


def set_spec(folder: Path, **values: Any) -> None:  # noqa: ANN401  any JSON
    path = folder / "run.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    spec["config"] = {"parameters": {"seed": 1, "model": "builtin:tiny"}, "stages": {}}
    path.write_text(json.dumps(spec | values), encoding="utf-8")


def test_what_was_planned_is_no_mixture(run: Path) -> None:
    assert mixed(open_run(run)) == []
    assert mixed(open_run(shared_folder())) == []


def test_every_command_names_the_task_of_another_configuration(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_spec(run, planned={"dedup_filter": {"max_rouge_l": 0.5}})
    with pytest.raises(DataError, match=r"dedup_filter was made with max_rouge_l 0\.7"):
        refuse_mixture(open_run(run))
    row = rows(run / "artifacts" / "dedup_filter" / "kept")[0]["id"]
    output = str(tmp_path / "out")
    for words in (
        ["export", "--run", str(run), "--format", "alpaca", "--output", output],
        ["explain", row, "--run", str(run)],
        ["trace", "--seed", "seed_017", "--run", str(run)],
        ["refilter", "--run", str(run), "--output", output],
    ):
        assert main(words) == 65
        assert "dedup_filter was made with max_rouge_l 0.7, the run says 0.5" in (
            capsys.readouterr().err
        )
    assert main(["status", str(run)]) == 0
    assert "of another configuration: dedup_filter" in capsys.readouterr().out


def test_runs_are_listed_with_preset_model_start_state_and_result(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", str(run.parent)]) == 0
    first, second = capsys.readouterr().out.split("\n")[:2]
    assert first.split() == [str(run), "made", "builtin:tiny", "2026-11-18", "11:06", "finished"]
    assert second.strip() == "rl wins"
    assert main(["runs", str(run / "none")]) == 64


def test_two_runs_are_compared_by_configuration_and_scores(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(run, run.parent / "second"))
    path = other / "run.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    spec["config"]["parameters"]["seed"] = 2
    path.write_text(json.dumps(spec), encoding="utf-8")
    result = {"answer": "", "arms": {"rl": {"rouge_l": 52.5}}}
    (other / "artifacts" / "report" / "result").write_text(json.dumps(result), encoding="utf-8")
    assert main(["compare", str(run), str(other)]) == 0
    shown = capsys.readouterr().out
    assert "parameters.seed: 1 | 2" in shown
    assert "rl, rouge_l: 50.00 | 52.50  (+2.50)" in shown
    assert "start, rouge_l: 40.00 | -" in shown
