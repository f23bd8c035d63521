"""``--resume``: what an earlier run decides, down to the journals of its tasks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refine_af.component import run_component
from refine_af.contracts.errors import DataError, JournalMismatchError
from refine_af.pipelines.config import load_config
from refine_af.pipelines.execute import located
from refine_af.pipelines.resume import resume_environment, started_tasks
from refine_af.runner import find_stage

SPEC = {"code": "0.1.0+abc", "config": {"arms": ["rl"], "stages": {"evaluate": {"instances": 8}}}}


def earlier(folder: Path, spec: dict[str, Any]) -> Path:
    (folder / "run.json").write_text(json.dumps(spec))
    starts = [
        {"stage": "seed_ingest", "label": "", "event": "start"},
        {"stage": "evaluate", "label": "rl", "event": "start"},
        {"stage": "evaluate", "label": "rl", "event": "end"},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in starts) + '{"stage": "rep'
    (folder / "events.jsonl").write_text(lines)
    return folder


def test_tasks_that_had_started_must_continue(tmp_path: Path) -> None:
    folder = earlier(tmp_path, SPEC)
    assert started_tasks(folder / "events.jsonl") == ["seed_ingest", "evaluate (rl)"]
    found = resume_environment("always", folder, SPEC)
    assert found["REFINE_AF_RESUME"] == "always"
    assert json.loads(found["REFINE_AF_STARTED"]) == ["seed_ingest", "evaluate (rl)"]


def test_every_difference_is_named(tmp_path: Path) -> None:
    other = {"code": "0.1.0+def", "config": {"arms": ["rl", "baseline"], "stages": {}}}
    with pytest.raises(JournalMismatchError) as caught:
        resume_environment("always", earlier(tmp_path, other), SPEC)
    for part in (
        "code: '0.1.0+abc', not '0.1.0+def'",
        "config.arms: ['rl'], not ['rl', 'baseline']",
        "config.stages.evaluate.instances: 8, not 'absent'",
    ):
        assert part in str(caught.value)
    assert resume_environment("if_possible", tmp_path, SPEC)


def test_relative_paths_are_the_person_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.jsonl").write_text("")
    given = load_config("smoke", "").with_values(
        ("seeds_uri=my.jsonl", "dedup_filter.tasks_uri=my.jsonl", "work_dir=w")
    )
    found = located(given, tmp_path / "out")
    assert found.parameters["seeds_uri"] == str(tmp_path / "my.jsonl")
    assert found.parameters["work_dir"] == str(tmp_path / "w")
    assert found.parameters["model"] == "builtin:fixture"
    assert found.stages["dedup_filter"]["tasks_uri"] == str(tmp_path / "my.jsonl")
    own = located(load_config("smoke", ""), tmp_path / "out")
    assert own.parameters["work_dir"] == str(tmp_path / "out" / "work")


def test_no_earlier_run(tmp_path: Path) -> None:
    with pytest.raises(JournalMismatchError, match="there is no run in"):
        resume_environment("always", tmp_path, SPEC)


def ingest(folder: Path, seeds: Path) -> Path:
    """Run the component as KFP would, and return its output."""
    stage = find_stage("seed_ingest")
    names = [item.name for item in stage.written] + ["metrics"]
    given: dict[str, Any] = {
        name: SimpleNamespace(path=str(folder / name), log_metric=lambda *_: None) for name in names
    }
    defaults = {name: field.default for name, field in stage.params.model_fields.items()}
    given |= {item.name: None for item in stage.taken}
    given |= defaults | {"seeds_uri": str(seeds), "work_dir": str(folder / "work"), "label": ""}
    run_component("seed_ingest", given)
    return folder / "seeds"


def seed(instruction: str) -> str:
    row = {
        "id": "one",
        "instruction": instruction,
        "instances": [{"input": "", "output": "Yes."}],
        "is_classification": False,
        "licence": "MIT",
    }
    return json.dumps(row) + "\n"


def test_content_that_changed_under_the_same_name_is_read_again(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(seed("Say yes to this."))
    ingest(tmp_path, seeds)
    seeds.write_text(seed("Say no to this."))
    assert "Say no" in ingest(tmp_path, seeds).read_text()


def test_a_mistake_that_was_mended_does_not_stay_a_failure(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"id": "one"}\n')
    with pytest.raises(SystemExit) as ended:
        ingest(tmp_path, seeds)
    assert ended.value.code == DataError.exit_code
    seeds.write_text(seed("Say yes to this."))
    assert "Say yes" in ingest(tmp_path, seeds).read_text()


def test_always_refuses_changed_content_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(seed("Say yes to this."))
    ingest(tmp_path, seeds)
    monkeypatch.setenv("REFINE_AF_RESUME", "always")
    monkeypatch.setenv("REFINE_AF_STARTED", '["seed_ingest"]')
    ingest(tmp_path, seeds)
    seeds.write_text(seed("Say no to this."))
    with pytest.raises(SystemExit) as ended:
        ingest(tmp_path, seeds)
    assert ended.value.code == JournalMismatchError.exit_code
    assert "differs in inputs.seeds_uri" in capsys.readouterr().err
    monkeypatch.setenv("REFINE_AF_STARTED", "[]")
    assert "Say no" in ingest(tmp_path, seeds).read_text()


def test_never_computes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(seed("Say yes to this."))
    ingest(tmp_path, seeds)
    started = json.loads((tmp_path / "records" / "telemetry").read_text())["started"]
    ingest(tmp_path, seeds)
    assert json.loads((tmp_path / "records" / "telemetry").read_text())["started"] == started
    monkeypatch.setenv("REFINE_AF_RESUME", "never")
    ingest(tmp_path, seeds)
    assert json.loads((tmp_path / "records" / "telemetry").read_text())["started"] > started
