"""``check_inputs`` looks again each time: what it checks is outside and may have changed."""

import json
from pathlib import Path

import pytest

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.evolve.operators import PACKAGED
from refine_af.pipelines.config import load_config
from refine_af.runner import run_stage
from refine_af.stages.check_inputs import STAGE

ROW = {
    "id": "one",
    "instruction": "Say yes to this.",
    "instances": [{"input": "", "output": "Yes."}],
    "is_classification": False,
}


def check(folder: Path, seeds: Path, **params: object) -> str:
    names = ("manifest", "seeds_digest", "model_digest", "tasks_digest")
    run_stage(
        "check_inputs",
        inputs={},
        outputs={name: str(folder / name) for name in names},
        params={"seeds_uri": str(seeds), "model": "builtin:fixture", "reward": "embedded"} | params,
        work_dir=str(folder / "work"),
    )
    return (folder / "seeds_digest").read_text()


def test_with_a_journal_it_still_looks(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    with pytest.raises(DataError):
        check(tmp_path, seeds)
    seeds.write_text(json.dumps(ROW) + "\n")
    first = check(tmp_path, seeds)
    seeds.write_text(json.dumps(ROW | {"id": "two"}) + "\n")
    assert check(tmp_path, seeds) != first


def test_tasks_are_pinned_by_their_digest(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps(ROW) + "\n")
    check(tmp_path, seeds)
    digest = (tmp_path / "tasks_digest").read_text()
    check(tmp_path, seeds, expected_tasks=digest)
    with pytest.raises(DataError, match=f"first 3 instances a task is .*, expected {digest}"):
        check(tmp_path, seeds, expected_tasks=digest, instances=3)


def test_a_wrong_placeholder_of_the_operators_is_found_before_anything_runs(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps(ROW) + "\n")
    check(tmp_path, seeds, operators_uri="builtin:operators")
    own = tmp_path / "operators.yaml"
    packaged = PACKAGED.read_text(encoding="utf-8")
    number = packaged[: packaged.index("{{ operation }}")].count("\n") + 1
    own.write_text(packaged.replace("{{ operation }}", "{{ operator }}"), encoding="utf-8")
    message = rf"operators\.yaml:{number}: placeholder 'operator' does not exist; allowed: ask,"
    with pytest.raises(DataError, match=message):
        check(tmp_path, seeds, operators_uri=str(own))


def test_a_preset_of_the_paper_refuses_the_embedded_tasks(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps(ROW) + "\n")
    with pytest.raises(ParameterError, match=r"--set tasks_uri=natural-instructions/splits"):
        check(tmp_path, seeds, packaged_tasks=False)
    for name in ("llama2-7b", "llama2-13b", "mistral-7b"):
        assert load_config(name, "").stages["check_inputs"] == {"packaged_tasks": False}


def test_only_the_models_that_the_reward_reads_are_content() -> None:
    """A run with the embedded reward asks the Hub for nothing."""

    def models(reward: str) -> set[str]:
        params = STAGE.params.parse({"reward": reward})
        return {item.parameter for item in params.content() if item.kind == "model"}

    assert models("embedded") == {"model"}
    assert models("reward_model") == {"model", "reward_model"}
    assert models("balanced") == {"model", "reward_model", "unieval"}
