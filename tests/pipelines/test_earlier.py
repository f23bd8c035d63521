"""A part of a pipeline on the artifacts of an earlier run: in KFP by importers, in Argo by keys."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from argo_machines import Processes
from argo_repository import S3Repository
from argo_run import Cluster, load
from levels import levels, tasks_of
from servers import BUCKET

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.stage import EVERY_STAGE_WRITES
from refine_af.pipelines.argo import dag_template, stages_of, write_argo
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.execute import pipeline_tasks
from refine_af.pipelines.flow import RUN, Images
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


DIGESTS = {name: f"of {name}" for name in ("seeds_digest", "model_digest", "tasks_digest")}


def leave_artifacts(root: str, names: dict[str, str], between: str) -> None:
    """Store a file for every output, as a cluster's run does; a model is a directory.

    Output parameters are no files there: the engines hand them on themselves.
    """
    store = open_store(root)
    for task, folder in names.items():
        stage, _, label = task.partition("-")
        records = {
            "telemetry": {"stage": stage, "label": label, "started": 1.0},
            "provenance": {"stage": stage},
            "manifest": DIGESTS,
        }
        for item in (*find_stage(stage).outputs, *EVERY_STAGE_WRITES):
            if item.kind == "parameter":
                continue
            first = "records/" if item in EVERY_STAGE_WRITES else ""
            last = "/adapter_config.json" if item.kind == "model" else ""
            text = json.dumps(records.get(item.name, {}))
            uri = f"{root}/{folder}{between}/{first}{item.name}{last}"
            store.publish_bytes(uri, text.encode())


def level_of(made: Compiled, task: str) -> tuple[dict[str, Any], str]:
    """Return the tasks of the level that a task lies on, and its key there."""
    return next(
        (dag["tasks"], key)
        for dag in levels(made.spec).values()
        for key, item in dag["tasks"].items()
        if item["taskInfo"]["name"] == task
    )


def imported(made: Compiled, task: str) -> dict[str, str]:
    """Return the URI of every imported input of a task, from the IR."""
    tasks, key = level_of(made, task)
    inputs = tasks[key].get("inputs", {}).get("artifacts", {})
    found = {}
    for name, source in inputs.items():
        if "componentInputArtifact" in source:
            continue
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
    folder = "score_rewards-rl" if not between else "score-rewards-2"
    found = imported(made, "train_sft (rl)")
    assert found["instances"] == f"{root}/{folder}{between}/scored"
    assert found["before"] == f"{root}/{folder}{between}/records"
    assert set(found) == {"instances", "match", "seeds", "before"}
    tasks, key = level_of(made, "train_sft (rl)")
    given = tasks[key]["inputs"]["parameters"]
    assert given["model_digest"]["runtimeValue"]["constant"] == "of model_digest"
    assert len(tasks) == 5  # nothing is imported that nobody reads


def test_the_rest_of_a_run_in_argo_reads_keys_of_the_same_bucket(s3_root: str) -> None:
    leave_artifacts(s3_root, {task: task for task in TASKS}, "")
    made = only(s3_root, since="train_sft (rl)")
    tasks = argo_tasks(made)
    assert {"train-sft-rl", "evaluate-rl", "report"} <= set(tasks)
    assert "train-ppo" not in tasks
    given = {item["name"]: item for item in tasks["train-sft-rl"]["arguments"]["artifacts"]}
    prefix = s3_root.split("/", 3)[3]
    assert given["instances"] == {
        "name": "instances",
        "s3": {"key": f"{prefix}/score_rewards-rl/scored"},
        "archive": {"none": {}},
    }
    judged = {item["name"]: item for item in tasks["evaluate-rl"]["arguments"]["artifacts"]}
    assert judged["adapter"]["from"] == "{{tasks.train-sft-rl.outputs.artifacts.adapter}}"
    assert "depends" not in tasks["train-sft-rl"]
    assert {stage.name for stage in stages_of(made.spec)} == {"train_sft", "evaluate", "report"}


def argo_tasks(made: Compiled) -> dict[str, Any]:
    """Return the tasks of all levels in Argo by their names."""
    return {
        task["name"]: task
        for template in dag_template(made, "x")["spec"]["templates"]
        for task in template["dag"]["tasks"]
    }


def test_records_of_an_earlier_run_are_read_by_artifact(layout: tuple[str, str]) -> None:
    root, between = layout
    made = only(root, task="report")
    read = imported(made, "report")
    task = "evaluate-rl" if not between else "evaluate"
    assert f"{root}/{task}{between}/records" in read.values()
    assert RUN not in read
    assert len(read) == 4  # what the arms share, two arms, the start model


def test_a_folder_without_the_run_is_refused(tmp_path: Path, s3_root: str) -> None:
    with pytest.raises(DataError, match="no artifacts of a run in it"):
        only(s3_root, task="report")
    with pytest.raises(ParameterError, match="is not a task of this run"):
        only(s3_root, task="reports")


def test_what_the_earlier_run_does_not_have_is_named(s3_root: str) -> None:
    names = {task: task for task in TASKS}
    leave_artifacts(s3_root, {task: names[task] for task in TASKS if task != "dedup_filter"}, "")
    with pytest.raises(ParameterError, match="no artifacts of dedup_filter there"):
        only(s3_root, task="train_ppo")
    store = open_store(s3_root)
    store.publish_bytes(f"{s3_root}/check_inputs/manifest", b"{}")
    message = r"train_sft \(rl\) needs model_digest, which the earlier run does not have"
    with pytest.raises(ParameterError, match=message):
        only(s3_root, task="train_sft (rl)")


def test_the_order_of_tasks_does_not_depend_on_the_process() -> None:
    """KFP keeps tasks in a map without an order, and --from goes by it."""
    names = pipeline_tasks(load_config("smoke", "").with_values(("shards=8", "sizes=4,8")))
    shards = [name for name in names if name.startswith("generate_instructions")]
    assert shards == [f"generate_instructions (shard {number})" for number in range(8)]
    tuned = [name for name in names if name.startswith("train_sft")]
    assert tuned[:3] == ["train_sft (rl)", "train_sft (baseline)", "train_sft (rl 4)"]


def test_two_tries_with_different_contents_are_named(s3_root: str) -> None:
    leave_artifacts(s3_root, KFP_KEYS | {"check_inputs": "check-inputs"}, "/one")
    store = open_store(s3_root)
    for name, text in (("telemetry", '{"label": "rl"}'), ("provenance", '{"stage": "x"}')):
        store.publish_bytes(f"{s3_root}/train-sft/two/{name}", text.encode())
    with pytest.raises(DataError, match="train_sft-rl is there twice"):
        only(s3_root, task="evaluate (rl)")


def test_argo_cannot_read_a_folder_of_this_machine(tmp_path: Path) -> None:
    leave_artifacts(str(tmp_path), {task: task for task in TASKS}, "")
    with pytest.raises(ParameterError, match="give a URI"):
        dag_template(only(str(tmp_path), task="report"), "x")


@pytest.fixture(params=["argo", "kfp"])
def real_run(request: pytest.FixtureRequest, s3_root: str, tmp_path: Path) -> str:
    """Put a real run of ``smoke``, as a cluster left it, into a bucket and return its URI."""
    folder = os.environ.get("REFINE_AF_TEST_DATA")
    if not folder:
        pytest.skip("REFINE_AF_TEST_DATA is not set: the real runs are not at hand")
    with tarfile.open(Path(folder, "real-runs", f"{request.param}-smoke.tar.gz")) as archive:
        archive.extractall(tmp_path / "run", filter="data")
    open_store(s3_root).publish_directory(f"{s3_root}/run", tmp_path / "run")
    return f"{s3_root}/run"


@pytest.mark.parametrize("scheme", ["s3", "minio", "path"])
def test_a_part_of_a_real_run_is_compiled_for_both(
    real_run: str, scheme: str, tmp_path: Path
) -> None:
    root = str(tmp_path / "run") if scheme == "path" else real_run.replace("s3://", f"{scheme}://")
    made = only(root, since="train_sft (rl)")
    uris = imported(made, "train_sft (rl)")
    assert uris["instances"].startswith(f"{root}/")
    assert imported(made, "evaluate (baseline)") == {}
    assert imported(made, "report") == {"run": root}  # it has no records of an arm
    given = tasks_of(made.spec)["train_sft (rl)"]["inputs"]["parameters"]
    manifest = next((tmp_path / "run").rglob("manifest"))
    wanted = json.loads(manifest.read_text(encoding="utf-8"))["model_digest"]
    assert given["model_digest"]["runtimeValue"]["constant"] == wanted
    if scheme != "path":
        rows = argo_tasks(made)["train-sft-rl"]["arguments"]["artifacts"]
        keys = {item["name"]: item["s3"]["key"] for item in rows if "s3" in item}
        assert keys["instances"] == uris["instances"].split("/", 3)[3]


def test_the_report_of_a_real_run_is_made_again_in_argo(real_run: str, tmp_path: Path) -> None:
    write_argo(only(real_run, task="report"), tmp_path / "yaml", "again")
    templates, submitted = (
        tmp_path / "yaml" / f"{name}.yaml" for name in ("templates", "workflow")
    )
    cluster = Cluster(load(templates), S3Repository(BUCKET), Processes(), tmp_path / "pods")
    (workflow,) = load(submitted)
    done = cluster.submit(workflow, "again-1", {"registry": "r"})
    assert not done.failed, (tmp_path / "pods/report/0/log").read_text()
    S3Repository(BUCKET).get("refine-af/again-1/report/result", tmp_path / "result")
    (earlier,) = (path for path in (tmp_path / "run").rglob("result") if path.is_file())
    again, before = (json.loads(path.read_text()) for path in (tmp_path / "result", earlier))
    assert again["arms"] == before["arms"]
