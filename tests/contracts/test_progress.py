"""Progress of a stage, as lines and as events."""

from pathlib import Path

import pytest

from refine_af.contracts.jsonl import iter_objects
from refine_af.contracts.progress import EVENTS_VARIABLE, StageProgress


def test_nothing_done_has_no_remaining_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    StageProgress("stage").step(0, 0, "rows")
    assert capsys.readouterr().err == "stage: 0/0 rows, 0/s\n"

    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events.jsonl"))
    StageProgress("stage").step(0, 4, "rows", kept=0)
    [(_, event)] = iter_objects(tmp_path / "events.jsonl")
    assert (event["done"], event["rate"], event["eta"]) == (0, 0.0, None)
