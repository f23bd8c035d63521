"""A part of a pipeline on the artifacts of an earlier run: in KFP by importers, in Argo by keys."""

from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.stage import EVERY_STAGE_WRITES
from refine_af.pipelines.argo import dag_template, stages_of
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.runner import find_stage
from refine_af.storage.schemes import open_store

TASKS = (
    "check_inputs", "seed_ingest", "generate_instructions", "dedup_filter", "train_ppo",
    "generate_instances-rl", "generate_instances-baseline", "score_rewards-rl",
    "score_rewards-baseline", "train_sft-rl", "train_sft-baseline", "evaluate-rl",
    "evaluate-baseline", "evaluate-start",
)  # fmt: skip
KFP_KEYS = {
    "check_inputs": "check-inputs", "seed_ingest": "seed-ingest",
    "generate_instructions": "generate-instructions", "dedup_filter": "dedup-filter",
    "train_ppo": "train-ppo", "generate_instances-baseline": "generate-instances",
    "generate_instances-rl": "generate-instances-2", "score_rewards-baseline": "score-rewards",
    "score_rewards-rl": "score-rewards-2", "train_sft-rl": "train-sft",
    "train_sft-baseline": "train-sft-2", "evaluate-rl": "evaluate",
    "evaluate-baseline": "evaluate-2", "evaluate-start": "evaluate-3",
}  # fmt: skip


def leave_artifacts(root: str, names: dict[str, str], between: str) -> None:
    """Store a file for every output, as an earlier run would; a model is a directory."""
    store = open_store(root)
    for task, folder in names.items():
        stage = find_stage(task.split("-")[0])
        for item in (*stage.outputs, *EVERY_STAGE_WRITES):
            last = "/adapter_config.json" if item.kind == "model" else ""
            store.publish_bytes(
                f"{root}/{folder}{between}/{item.name}{last}", b"of " + item.name.encode()
            )


def imported(made: Compiled, task: str) -> dict[str, str]:
    """Return the URI of every imported input of a task, from the IR."""
    tasks = made.spec["root"]["dag"]["tasks"]
    inputs = tasks[task].get("inputs", {}).get("artifacts", {})
    found = {}
    for name, source in inputs.items():
        producer = tasks[source["taskOutputArtifact"]["producerTask"]]
        if producer["taskInfo"]["name"].startswith("importer"):
            found[name] = producer["inputs"]["parameters"]["uri"]["runtimeValue"]["constant"]
    return found


@pytest.fixture(params=["argo", "kfp"])
def layout(request: pytest.FixtureRequest, s3_root: str) -> tuple[str, str]:
    """Return the root of an earlier run, and what stands between task and output."""
    names = dict.fromkeys(TASKS, "") if request.param == "argo" else KFP_KEYS
    between = "" if request.param == "argo" else "/0b1c-execution"
    leave_artifacts(s3_root, {task: names[task] or task for task in TASKS}, between)
    return s3_root, between


def only(root: str, task: str = "", since: str = "") -> Compiled:
    return compile_request(load_config("smoke", ""), "cpu", Images(), root, task, since)


def test_one_task_reads_what_the_run_left(layout: tuple[str, str]) -> None:
    root, between = layout
    made = only(root, task="train_sft (rl)")
    (key,) = [name for name in made.spec["root"]["dag"]["tasks"] if "importer" not in name]
    folder = "score_rewards-rl" if not between else "score-rewards-2"
    found = imported(made, key)
    assert found["instances"] == f"{root}/{folder}{between}/scored"
    assert set(found) == {"instances", "match", "seeds"}
    given = made.spec["root"]["dag"]["tasks"][key]["inputs"]["parameters"]
    assert given["model_digest"]["runtimeValue"]["constant"] == "of model_digest"
    assert len(made.spec["root"]["dag"]["tasks"]) == 4  # nothing is imported that nobody reads


def test_the_rest_of_a_run_in_argo_reads_keys_of_the_same_bucket(s3_root: str) -> None:
    leave_artifacts(s3_root, {task: task for task in TASKS}, "")
    made = only(s3_root, since="train_sft (rl)")
    dag = dag_template(made, "x")["spec"]["templates"][0]["dag"]
    tasks: dict[str, Any] = {task["name"]: task for task in dag["tasks"]}
    assert {"train-sft-rl", "evaluate-rl", "report"} <= set(tasks)
    assert "train-ppo" not in tasks
    given = {item["name"]: item for item in tasks["train-sft-rl"]["arguments"]["artifacts"]}
    prefix = s3_root.split("/", 3)[3]
    assert given["instances"] == {
        "name": "instances",
        "s3": {"key": f"{prefix}/score_rewards-rl/scored"},
    }
    judged = {item["name"]: item for item in tasks["evaluate-rl"]["arguments"]["artifacts"]}
    assert judged["adapter"]["from"] == "{{tasks.train-sft-rl.outputs.artifacts.adapter}}"
    assert "depends" not in tasks["train-sft-rl"]
    assert {stage.name for stage in stages_of(made.spec)} == {"train_sft", "evaluate", "report"}


def test_a_folder_without_the_run_is_refused(tmp_path: Path, s3_root: str) -> None:
    with pytest.raises(ParameterError, match="no artifacts of check_inputs, "):
        only(s3_root, task="report")
    with pytest.raises(ParameterError, match="is not one task of this run"):
        only(s3_root, task="reports")


def test_argo_cannot_read_a_folder_of_this_machine(tmp_path: Path) -> None:
    leave_artifacts(str(tmp_path), {task: task for task in TASKS}, "")
    with pytest.raises(ParameterError, match="give a URI"):
        dag_template(only(str(tmp_path), task="report"), "x")
