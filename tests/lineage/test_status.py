"""``refine-af status``: tasks of a run and journals of a work folder."""

import json
from pathlib import Path

import pytest
from made_folder import shared_folder

from refine_af.cli import main
from refine_af.lineage.run import Run
from refine_af.lineage.status import journals_of, status_lines, status_of, tasks_of
from refine_af.storage.journal import open_journal


@pytest.fixture
def made() -> Path:
    return shared_folder()


def identity(stage: str, seed: int) -> dict[str, object]:
    return {"stage": stage, "params": {"seed": seed}, "inputs": {}, "code": "1"}


def test_states_of_journals(tmp_path: Path) -> None:
    work, output = str(tmp_path / "work"), tmp_path / "out"
    output.write_text("x")
    with open_journal(work, identity("evaluate", 1)) as journal:
        journal.publish("step-1", b"1")
        journal.publish("step-2", b"2")
    with open_journal(work, identity("report", 1)) as journal:
        journal.finish({"report": output})
    with open_journal(work, identity("score_rewards", 1)) as journal:
        journal.fail("no such preset", 64)
    with open_journal(work, identity("train_sft", 1)):
        found = {one["stage"]: one for one in journals_of(work)}
        assert found["train_sft"]["state"] == "running"
        assert "process" in found["train_sft"]["by"]
    assert (found["evaluate"]["state"], found["evaluate"]["steps"]) == ("interrupted", 2)
    assert found["report"]["state"] == "finished"
    assert found["score_rewards"] | {"key": ""} == {
        "key": "",
        "stage": "score_rewards",
        "state": "failed",
        "steps": 0,
        "message": "no such preset",
    }


def test_tasks_of_a_killed_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["check_inputs", "generate_instances (rl)", "evaluate (rl)"]
    (tmp_path / "run.json").write_text(json.dumps({"tasks": names, "config": {}}))
    step = {"done": 3, "total": 9, "unit": "completions", "eta": 1.0}
    events = [
        {"stage": "check_inputs", "label": "", "event": "start"},
        {"stage": "check_inputs", "label": "", "event": "end"},
        {"stage": "generate_instances", "label": "rl", "event": "start"},
        {"stage": "generate_instances", "label": "rl", "event": "step", **step},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events) + '{"stage": "generate_inst'
    (tmp_path / "events.jsonl").write_text(lines)
    first, second, third = tasks_of(Run(str(tmp_path)))
    assert first == {"task": "check_inputs", "state": "finished"}
    assert second == {"task": names[1], "state": "running or killed", **step}
    assert third == {"task": "evaluate (rl)", "state": "waiting"}
    assert main(["status", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "3 of 9 completions" in shown
    assert "the same command continues it" in shown


def test_a_finished_run_and_a_folder_that_is_none(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(str(made))["journals"] == []
    assert main(["status", str(tmp_path)]) == 65
    assert "neither a run nor a journal" in capsys.readouterr().err


def test_a_run_that_was_stopped_before_its_first_task(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"tasks": ["check_inputs", "seed_ingest"]}')
    found = status_of(str(tmp_path))
    assert [task["state"] for task in found["tasks"]] == ["waiting", "waiting"]
    assert status_lines(found)[-1].endswith("the same command continues it")
