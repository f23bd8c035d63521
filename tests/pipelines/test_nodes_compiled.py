"""What is compiled for a stage that trains on several nodes: its pod, and the TrainJob it makes."""

import json
from pathlib import Path
from typing import Any

import pytest
from crds import problems

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import Params
from refine_af.pipelines.argo import dag_template, templates_of
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.pipelines.inputs import check_contents
from refine_af.pipelines.tasks import planned
from refine_af.processes.launch import TEMPLATE_VARIABLE, Job
from refine_af.processes.params import ProcessesParams
from refine_af.runner import find_stage
from refine_af.storage.entry import Identity

Object = dict[str, Any]
SEVERAL = ("train_ppo.nodes=2", "train_ppo.processes=0", "train_sft.nodes=2")


def made(*assignments: str, profile: str = "a100") -> Compiled:
    preset = "quickstart" if profile == "cpu" else "default"  # what fits
    config = load_config(preset, "").with_values(assignments)
    return compile_request(config, profile, Images("r", "1"), notify=True)


def pods(compiled: Compiled) -> dict[str, Object]:
    """Return Argo's template by stage."""
    return {name: item["spec"]["templates"][0] for name, item in templates_of(compiled).items()}


def variable(template: Object) -> str | None:
    rows = {row["name"]: row.get("value") for row in template["container"]["env"]}
    return rows.get(TEMPLATE_VARIABLE)


def test_the_pod_that_makes_a_job_is_small_and_alone_has_a_token() -> None:
    compiled = made(*SEVERAL)
    assert compiled.nodes == {"train_ppo": 2, "train_sft": 2}
    assert dag_template(compiled, "x")["spec"]["automountServiceAccountToken"] is False
    usual = pods(made())
    for name, template in pods(compiled).items():
        if name in compiled.nodes:
            assert template["automountServiceAccountToken"] is True
            assert template["serviceAccountName"] == "refine-af-trainer"
            assert "nvidia.com/gpu" not in template["container"]["resources"]["limits"]
            assert "nodeSelector" not in template
            assert variable(template)
        else:
            assert template == usual[name]
            assert "automountServiceAccountToken" not in template
            assert variable(template) is None


@pytest.mark.parametrize("profile", ["cpu", "a100", "eks-p5"])
def test_the_job_has_what_the_profile_gives_the_stage(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = made(*SEVERAL, profile=profile)
    usual = pods(made(profile=profile))["train_ppo"]
    template = pods(compiled)["train_ppo"]
    text = variable(template)
    assert text is not None
    # Argo puts the image there, as into every place of the template
    monkeypatch.setenv(TEMPLATE_VARIABLE, text.replace("{{inputs.parameters.image}}", "r/train:1"))
    job = _job("train_ppo", nodes=2, processes=0).manifest()
    assert problems(job, "trainer") == []
    trainer = job["spec"]["trainer"]
    assert trainer["image"] == "r/train:1"
    assert trainer["numNodes"] == 2
    assert trainer["numProcPerNode"] == max(compiled.profile.gpus, 1)
    assert trainer["resourcesPerNode"] == usual["container"]["resources"]
    (group,) = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
        "replicatedJobs"
    ]
    pod = group["template"]["spec"]["template"]["spec"]
    assert pod.get("nodeSelector") == usual.get("nodeSelector")
    assert pod.get("tolerations") == usual.get("tolerations")
    assert pod["securityContext"] == usual["securityContext"]
    assert pod["serviceAccountName"] == "refine-af"
    secrets = [row for row in usual["container"]["env"] if "valueFrom" in row]
    assert [row for row in trainer["env"] if "valueFrom" in row] == secrets


def test_kfp_gets_the_same_job_with_the_image_in_it() -> None:
    compiled = made(*SEVERAL)
    found = {}
    for executor in compiled.spec["deploymentSpec"]["executors"].values():
        box = executor["container"]
        stage = box["args"][box["args"].index("--function_to_execute") + 1]
        rows = {row["name"]: row["value"] for row in box.get("env", [])}
        if TEMPLATE_VARIABLE in rows:
            found[stage] = json.loads(rows[TEMPLATE_VARIABLE])
            assert "accelerator" not in box["resources"]
    assert found.keys() == {"train_ppo", "train_sft"}
    argo = variable(pods(compiled)["train_ppo"])
    assert argo is not None
    image = found["train_ppo"]["spec"]["trainer"]["image"]
    assert image == "r/refine-af-train_ppo:1"
    assert json.loads(argo.replace("{{inputs.parameters.image}}", image)) == found["train_ppo"]


def test_one_machine_refuses_several_nodes() -> None:
    config = load_config("smoke", "").with_values(("train_sft.nodes=2",))
    with pytest.raises(ParameterError, match=r"train_sft\.nodes is 2; this machine is one node"):
        check_contents(planned(config))


def test_names_differ_by_bucket_and_work_and_fit_kubernetes(tmp_path: Path) -> None:
    names = {
        _job(stage, work_dir=work_dir).name
        for stage in ("train_ppo", "train_sft")
        for work_dir in ("s3://a/w", "s3://b/w")
    }
    assert len(names) == 4
    assert all(len(f"{name}-node-0-0") <= 63 for name in names)


def _job(name: str, *, work_dir: str = "s3://bucket/work", **params: int) -> Job:
    stage = find_stage(name)
    settings: Params = stage.params.parse({"model": "builtin:tiny", **params})
    assert isinstance(settings, ProcessesParams)
    inputs = {item.name: Path("x") for item in stage.inputs}
    return Job(stage, settings, Identity(name, {}, {}, "1"), inputs, work_dir, "rl")
