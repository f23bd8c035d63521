"""The page of seconds and money from the telemetry that a run left."""

import json
from pathlib import Path

import pytest

from refine_af import cli
from refine_af.lineage.run import Run
from refine_af.lineage.telemetry import telemetry_of


def leave(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True)
    (folder / "telemetry").write_text(json.dumps(values), encoding="utf-8")


def test_tasks_come_in_order_with_labels_and_the_journals_stay_out(tmp_path: Path) -> None:
    leave(tmp_path / "artifacts" / "b", stage="evaluate", label="rl", started=2.0, seconds=30.0)
    leave(tmp_path / "artifacts" / "a", stage="seed_ingest", label="", started=1.0, seconds=1.0)
    leave(tmp_path / "artifacts" / "c", stage="evaluate", label="rl", started=3.0, seconds=5.0)
    leave(tmp_path / "work" / "x", stage="evaluate", label="rl", started=0.0, seconds=9.0)
    assert list(telemetry_of(Run(str(tmp_path)))) == [
        "seed_ingest",
        "evaluate (rl)",
        "evaluate (rl), again 1",
    ]


def test_money_is_gpu_seconds_times_the_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(tmp_path / "a", stage="train_ppo", label="", started=1.0, seconds=1800.0, gpus=2)
    leave(tmp_path / "b", stage="report", label="", started=2.0, seconds=4.0, gpus=0)
    page = tmp_path / "timing.html"
    words = ["timing", str(tmp_path), "--output", str(page), "--price-per-gpu-hour", "2.5"]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "1,804 seconds in all stages, 3,600 GPU-seconds, 2.50 at 2.5 per GPU-hour" in shown
    assert "3,600" in page.read_text(encoding="utf-8")


def test_a_folder_without_telemetry_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["timing", str(tmp_path)]) == 65
    assert "no telemetry below it" in capsys.readouterr().err
