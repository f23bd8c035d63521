"""The KServe object of a run's model, by KServe's own definition."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from crds import problems, read_as_kubernetes_does

from refine_af.cluster_commands import compile_pipeline
from refine_af.contracts.errors import ParameterError
from refine_af.storage.schemes import open_store

COMMIT = "a" * 40


def leave_run(root: str, model: str, digest: str = COMMIT) -> None:
    """Store what a run on a cluster leaves of its start model and of two tuned arms."""
    files: dict[str, Any] = {
        "check_inputs/manifest": {"model": model, "model_digest": digest},
        "check_inputs/provenance": {"stage": "check_inputs"},
    }
    for arm, rank in (("rl", 8), ("baseline", 16)):
        files[f"train_sft-{arm}/provenance"] = {"stage": "train_sft"}
        files[f"train_sft-{arm}/telemetry"] = {"stage": "train_sft", "label": arm}
        files[f"train_sft-{arm}/adapter/adapter_config.json"] = {"r": rank}
    for name, value in files.items():
        open_store(root).publish_bytes(f"{root}/{name}", json.dumps(value).encode())


def served(folder: Path, root: str, *arguments: str) -> dict[str, Any]:
    target = folder / "serving.yaml"
    words = ["--to", "serving", "--artifacts", root, "-o", str(target), *arguments]
    done = CliRunner().invoke(compile_pipeline, words)
    if done.exception:
        raise done.exception
    (document,) = read_as_kubernetes_does(target.read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(
    ("model", "digest", "base"),
    [
        ("org/model", COMMIT, f"hf://org/model:{COMMIT}"),
        ("org/model@v1", "sha256:x", "hf://org/model:v1"),
        ("gs://bucket/model", "sha256:x", "gs://bucket/model"),
        ("minio://bucket/model", "sha256:x", "s3://bucket/model"),
    ],
)
def test_the_start_model_is_the_runs_and_the_adapter_the_arms(
    model: str, digest: str, base: str, tmp_path: Path, s3_root: str
) -> None:
    leave_run(s3_root, model, digest)
    document = served(tmp_path, s3_root.replace("s3://", "minio://"), "--arm", "baseline")
    predictor = document["spec"]["predictor"]
    assert [item["uri"] for item in predictor["storageUris"]] == [
        base,
        f"{s3_root}/train_sft-baseline/adapter",
    ]
    assert "--max-lora-rank=16" in predictor["model"]["args"]
    assert "--lora-modules=baseline=/mnt/models/adapter" in predictor["model"]["args"]


def test_kserve_takes_it_with_a_gpu_profile(tmp_path: Path, s3_root: str) -> None:
    leave_run(s3_root, "org/model")
    document = served(tmp_path, s3_root, "--preset", "qwen2.5-1.5b", "--profile", "l4")
    assert document["metadata"]["name"] == "refine-af-qwen2-5-1-5b-rl"
    assert document["spec"]["predictor"]["model"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert problems(document, "kserve-inferenceservice") == []
    document["spec"]["predictor"]["storageUri"] = "x"
    assert problems(document, "kserve-inferenceservice")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("builtin:tiny", (), "the start model is 'builtin:tiny', which a cluster cannot fetch"),
        ("models/mine/7b", (), "which a cluster cannot fetch"),
        ("org/model", ("--arm", "best"), "the run has no such arm"),
    ],
)
def test_what_a_cluster_cannot_serve_is_refused(
    model: str, arguments: tuple[str, ...], message: str, tmp_path: Path, s3_root: str
) -> None:
    leave_run(s3_root, model)
    with pytest.raises(ParameterError, match=message):
        served(tmp_path, s3_root, *arguments)


def test_a_run_on_this_machine_is_refused(tmp_path: Path) -> None:
    leave_run(str(tmp_path / "run"), "org/model")
    with pytest.raises(ParameterError, match="a cluster cannot read this machine"):
        served(tmp_path, str(tmp_path / "run"))
    with pytest.raises(ParameterError, match="name the run in --artifacts"):
        served(tmp_path, "")
