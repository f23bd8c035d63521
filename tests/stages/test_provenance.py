"""What the artifact ``provenance`` says of a stage's engine."""

import json
from pathlib import Path
from typing import Any

from refine_af.runner import find_stage, run_stage


def provenance(folder: Path, stage: str, params: dict[str, Any]) -> dict[str, Any]:
    names = [item.name for item in find_stage(stage).outputs] + ["provenance"]
    outputs = {name: str(folder / name) for name in names}
    run_stage(stage, inputs={}, outputs=outputs, params=params)
    found: dict[str, Any] = json.loads((folder / "provenance").read_text())
    return found


def test_provenance_says_how_far_the_engine_repeats_its_rows(tmp_path: Path) -> None:
    tasks = tmp_path / "task.json"
    question = {"id": "i0", "input": "1", "output": ["yes"]}
    tasks.write_text(
        json.dumps({"Definition": ["Say."], "Categories": ["x"], "Instances": [question]})
    )
    params = {"tasks_uri": str(tasks), "instances": 1, "engine": "scripted"}
    assert provenance(tmp_path, "evaluate", params)["determinism"] == "exact"


def test_a_stage_without_an_engine_promises_nothing(tmp_path: Path) -> None:
    assert "determinism" not in provenance(tmp_path, "seed_ingest", {})
