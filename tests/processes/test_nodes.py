"""Training on several nodes by a TrainJob: what a job leaves, and what happens when it fails."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, running

from refine_af.contracts.errors import DataError, DependencyError, ParameterError
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance, Instruction
from refine_af.processes import launch
from refine_af.processes.job import read_failure
from refine_af.runner import find_stage, run_stage
from refine_af.storage.schemes import open_store
from refine_af.targets.placement import place
from refine_af.targets.profile import load_profile
from refine_af.targets.train_job import train_job

PPO: dict[str, Any] = {
    "updates": 2,
    "episodes_per_update": 4,
    "episodes_per_prompt": 2,
    "minibatch": 4,
    "microbatch": 4,
    "epochs": 1,
    "learning_rate": 1e-3,
    "max_new_tokens": 12,
    "lora_rank": 4,
    "reward": "embedded",
}
SFT: dict[str, Any] = {
    "max_steps": 2,
    "batch_size": 4,
    "lora_rank": 2,
    "lora_dropout": 0.0,
    "checkpoint_steps": 1,
    "device": "cpu",
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    profile = load_profile("cpu")
    template = train_job(place(find_stage("train_ppo"), profile), profile, "registry/train:1")
    monkeypatch.setenv(launch.TEMPLATE_VARIABLE, json.dumps(template))
    with running(tmp_path / "account", monkeypatch) as server:
        yield server


def ppo(folder: Path, work_dir: str, **changes: Any) -> dict[str, float]:  # noqa: ANN401
    folder.mkdir(parents=True, exist_ok=True)
    texts = ["Reverse the order of the words.", "Count the letters of the word."]
    rows = [Instruction.make(text, (), at, 0, 0) for at, text in enumerate(texts)]
    write_rows(folder / "in.jsonl", rows)
    return _run("train_ppo", {"instructions": folder / "in.jsonl"}, folder, work_dir, PPO | changes)


def sft(folder: Path, work_dir: str, **changes: Any) -> dict[str, float]:  # noqa: ANN401
    folder.mkdir(parents=True, exist_ok=True)
    words = ("apple", "pear", "plum", "fig")
    rows = [
        Instance.make(f"i{at}", f"Write {word}.", "", word, is_classification=False, sample=0)
        for at, word in enumerate(words)
    ]
    write_rows(folder / "rows", rows)
    return _run("train_sft", {"instances": folder / "rows"}, folder, work_dir, SFT | changes)


def _run(
    stage: str, inputs: dict[str, Path], folder: Path, work_dir: str, params: dict[str, Any]
) -> dict[str, float]:
    names = [item.name for item in find_stage(stage).outputs] + ["provenance", "telemetry"]
    return run_stage(
        stage,
        inputs={name: str(path) for name, path in inputs.items()},
        outputs={name: str(folder / name) for name in names},
        params=params,
        work_dir=work_dir,
    )


def assert_same_files(one: Path, two: Path, *names: str) -> None:
    for name in names:
        files = sorted(path for path in (one / name, *(one / name).rglob("*")) if path.is_file())
        assert files
        for path in files:
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path


def test_ppo_on_two_nodes_writes_what_two_processes_of_one_node_write(
    tmp_path: Path, s3_root: str, cluster: Cluster
) -> None:
    alone = ppo(tmp_path / "one", f"{s3_root}/one", processes=2)
    shared = ppo(tmp_path / "two", f"{s3_root}/two", nodes=2)
    assert shared == alone
    assert_same_files(tmp_path / "one", tmp_path / "two", "adapter", "curves", "episodes", "alarms")
    (job,) = cluster.created
    assert job["spec"]["trainer"]["numNodes"] == 2
    assert job["spec"]["trainer"]["image"] == "registry/train:1"
    assert cluster.deleted == [job["metadata"]["name"]]
    left = open_store(s3_root).list_files(f"{s3_root}/two")
    assert not [uri for uri in left if "/inputs/" in uri]
    assert "nodes" not in json.loads((tmp_path / "two" / "provenance").read_text())["params"]
    # the number of nodes decides no row: one process takes over what the job has done
    assert ppo(tmp_path / "again", f"{s3_root}/two") == shared
    assert len(cluster.created) == 1


def test_fine_tuning_on_two_nodes_writes_what_two_processes_of_one_node_write(
    tmp_path: Path, s3_root: str, cluster: Cluster
) -> None:
    alone = sft(tmp_path / "one", f"{s3_root}/one", processes=2)
    shared = sft(tmp_path / "two", f"{s3_root}/two", nodes=2)
    assert shared == alone
    assert_same_files(tmp_path / "one", tmp_path / "two", "adapter", "history", "used")
    assert cluster.deleted == [cluster.created[0]["metadata"]["name"]]


def test_a_lost_node_fails_the_try_and_the_next_one_continues(
    tmp_path: Path, s3_root: str, cluster: Cluster
) -> None:
    ppo(tmp_path / "calm", f"{s3_root}/calm", nodes=2, updates=4)
    killer = threading.Thread(target=_kill_after_a_checkpoint, args=(cluster, f"{s3_root}/work"))
    killer.start()
    with pytest.raises(DependencyError, match=r"failed: codes .*kubectl logs -n team"):
        ppo(tmp_path / "lost", f"{s3_root}/work", nodes=2, updates=4)
    killer.join()
    ppo(tmp_path / "lost", f"{s3_root}/work", nodes=2, updates=4)
    assert_same_files(tmp_path / "calm", tmp_path / "lost", "adapter", "curves", "episodes")


def _kill_after_a_checkpoint(cluster: Cluster, work_dir: str) -> None:
    store = open_store(work_dir)
    while not any("checkpoint-" in uri for uri in store.list_files(work_dir)):
        time.sleep(0.1)
    (job,) = cluster.jobs.values()
    job.kill(1)


def test_the_job_of_a_killed_pod_is_taken_over(
    tmp_path: Path, s3_root: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr(launch, "_follow", killed)
        with pytest.raises(SystemExit):
            ppo(tmp_path, s3_root, nodes=2)
    assert len(cluster.jobs) == 1
    ppo(tmp_path, s3_root, nodes=2)
    assert len(cluster.created) == 1
    assert not cluster.jobs


def test_a_pod_that_is_asked_to_end_removes_its_job(
    tmp_path: Path, s3_root: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_follow", stopped)
    with pytest.raises(KeyboardInterrupt):
        ppo(tmp_path, s3_root, nodes=2)
    assert not cluster.jobs
    assert len(cluster.deleted) == 1


def test_what_a_retry_would_repeat_is_said_in_the_stages_words(
    tmp_path: Path, s3_root: str, cluster: Cluster
) -> None:
    with pytest.raises(DataError, match="longer than max_length, 8 tokens"):
        sft(tmp_path, s3_root, nodes=2, max_length=8)
    assert len(cluster.created) == 1


def test_refusals(
    tmp_path: Path, s3_root: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(work_dir: str = s3_root, **changes: Any) -> str:  # noqa: ANN401
        with pytest.raises(ParameterError) as caught:
            ppo(tmp_path, work_dir, nodes=2, **changes)
        return str(caught.value)

    assert "must be in a bucket" in refusal(str(tmp_path / "work"))
    assert "must be in a bucket" in refusal("")
    assert "set rollout to transformers" in refusal(
        rollout="vllm_server", rollout_url="http://localhost:8000"
    )
    assert "a multiple of 2" in refusal(minibatch=1)
    cluster.allowed = False
    assert "give the pod's service account the role refine-af-trainer" in refusal().lower()
    cluster.allowed = True
    cluster.installed = False
    assert "has no TrainJob (trainer.kubeflow.org/v1alpha1): install Kubeflow Trainer" in refusal()
    cluster.installed = True
    template = json.loads(os.environ[launch.TEMPLATE_VARIABLE])
    template["spec"]["trainer"]["gpu"] = 1
    monkeypatch.setenv(launch.TEMPLATE_VARIABLE, json.dumps(template))
    if "REFINE_AF_TEST_DATA" in os.environ:
        assert "the cluster refuses the TrainJob (422)" in refusal()
    monkeypatch.delenv(launch.TEMPLATE_VARIABLE)
    assert "this pod was compiled for one node" in refusal()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    monkeypatch.setenv(launch.TEMPLATE_VARIABLE, json.dumps(template))
    assert "no token of a Kubernetes cluster" in refusal()
    assert not cluster.created
    assert not [uri for uri in open_store(s3_root).list_files(s3_root) if "/inputs/" in uri]


def test_an_unrelated_journal_is_refused_by_rank_0(
    tmp_path: Path, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFINE_AF_JOB_JOURNAL", f"{s3_root}/other")
    with pytest.raises(DataError, match="started for the journal"):
        ppo(tmp_path, s3_root, nodes=2)
    message, code = read_failure(f"{s3_root}/other")
    assert message.startswith("this job was started for the journal")
    assert code == DataError.exit_code
