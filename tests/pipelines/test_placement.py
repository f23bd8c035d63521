"""What a profile sets, in the files for KFP and for Argo."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from refine_af.cluster_commands import compile_pipeline
from refine_af.contracts.errors import ParameterError
from refine_af.generate import ROOT
from refine_af.pipelines.argo import dag_template, templates_of
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import load_config
from refine_af.pipelines.flow import Images
from refine_af.stages import STAGES
from refine_af.targets.placement import SECRET_KEYS, place
from refine_af.targets.profile import Profile, json_schema, load_profile, profile_names, quantity

WHOLE = """
name: own
summary: every field
gpus: 1
gpu_resource: nvidia.com/mig-3g.40gb
cpu_tasks: {cpu: 250m, memory: 1Gi, cpu_limit: "2", memory_limit: 4Gi, ephemeral_storage: 5Gi}
stages:
  report: {memory: 3Gi, env: {MPLBACKEND: agg}, secret_keys: [EXTRA]}
env: {TEAM: a}
secret: keys
secret_keys: [PROXY_TOKEN]
google_credentials: google
image_pull_secrets: [registry]
image_pull_policy: Always
volumes:
  - {name: data, mount_path: /data, claim: shared, stages: [seed_ingest]}
  - {name: conf, mount_path: /conf, config_map: conf}
  - {name: certs, mount_path: /certs, secret: certs}
  - {name: room, mount_path: /room, empty_dir: 2Gi}
pod_labels: {team: a}
pod_annotations: {note: b}
task_deadline_seconds: 3600
run_deadline_seconds: 7200
service_account: runner
priority_class: batch
runtime_class: nvidia
parallelism: 3
artifact_gc: OnWorkflowDeletion
pod_spec_patch: {hostNetwork: false}
"""


def whole(folder: Path) -> str:
    path = folder / "own.yaml"
    path.write_text(WHOLE)
    return str(path)


def made(profile: str, *assignments: str, preset: str = "smoke") -> Compiled:
    config = load_config(preset, "").with_values(assignments)
    return compile_request(config, profile, Images("r", "1"), notify=True)


def kfp_tasks(compiled: Compiled) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return (container, Kubernetes settings) by stage."""
    places = compiled.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found = {}
    for name, executor in compiled.spec["deploymentSpec"]["executors"].items():
        box = executor["container"]
        stage = box["args"][box["args"].index("--function_to_execute") + 1]
        found[stage] = (box, places[name])
    return found


def argo_tasks(compiled: Compiled) -> dict[str, dict[str, Any]]:
    return {name: doc["spec"]["templates"][0] for name, doc in templates_of(compiled).items()}


def test_every_field_reaches_argo(tmp_path: Path) -> None:
    compiled = made(whole(tmp_path))
    tasks = argo_tasks(compiled)
    report = tasks["report"]
    box = report["container"]
    assert box["resources"] == {
        "requests": {"cpu": "250m", "memory": "3Gi", "ephemeral-storage": "5Gi"},
        "limits": {"cpu": "2", "memory": "3Gi", "ephemeral-storage": "5Gi"},
    }
    values = {item["name"]: item.get("value") for item in box["env"]}
    assert values["MPLBACKEND"] == "agg"
    assert values["TEAM"] == "a"
    assert values["GOOGLE_APPLICATION_CREDENTIALS"] == "/var/run/secrets/google/key.json"
    assert {"EXTRA", "PROXY_TOKEN"} <= set(values)
    assert "EXTRA" not in str(tasks["seed_ingest"])
    assert box["imagePullPolicy"] == "Always"
    assert report["metadata"] == {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    assert report["activeDeadlineSeconds"] == 3600
    assert report["priorityClassName"] == "batch"
    patch = {"runtimeClassName": "nvidia", "hostNetwork": False}
    assert json.loads(report["podSpecPatch"]) == patch
    volumes = {item["name"]: item for item in tasks["seed_ingest"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "shared"}
    assert volumes["conf"]["configMap"] == {"name": "conf"}
    assert volumes["certs"]["secret"] == {"secretName": "certs"}
    assert volumes["room"]["emptyDir"] == {"sizeLimit": "2Gi"}
    assert "data" not in {item["name"] for item in report["volumes"]}
    assert tasks["train_ppo"]["container"]["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "1"
    spec = dag_template(compiled, "x")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["parallelism"] == 3
    assert spec["activeDeadlineSeconds"] == 7200
    assert spec["artifactGC"] == {"strategy": "OnWorkflowDeletion"}
    assert spec["serviceAccountName"] == "runner"
    assert spec["executor"] == {"serviceAccountName": "runner"}


def test_every_field_that_kfp_knows_reaches_it(tmp_path: Path) -> None:
    compiled = made(whole(tmp_path))
    tasks = kfp_tasks(compiled)
    box, settings = tasks["report"]
    assert box["resources"] == {
        "resourceCpuRequest": "250m", "resourceMemoryLimit": "3Gi",
        "cpuRequest": 0.25, "cpuLimit": 2.0, "resourceCpuLimit": "2", "memoryLimit": 3.221225472,
    }  # fmt: skip
    assert {"name": "MPLBACKEND", "value": "agg"} in box["env"]
    assert settings["imagePullSecret"][0]["secretName"] == "registry"
    assert settings["imagePullPolicy"] == "Always"
    assert settings["activeDeadlineSeconds"] == "3600"
    assert settings["podMetadata"] == {"labels": {"team": "a"}, "annotations": {"note": "b"}}
    assert settings["securityContext"] == {
        "runAsUser": "65532",
        "runAsGroup": "65532",
        "runAsNonRoot": True,
    }
    assert {item["secretName"] for item in settings["secretAsVolume"]} == {"certs", "google"}
    assert settings["configMapAsVolume"][0]["configMapName"] == "conf"
    assert tasks["seed_ingest"][1]["pvcMount"][0]["constant"] == "shared"
    accelerator = tasks["train_ppo"][0]["resources"]["accelerator"]
    assert accelerator["resourceType"] == "nvidia.com/mig-3g.40gb"
    config = compiled.platform["platforms"]["kubernetes"]["pipelineConfig"]
    assert config["activeDeadlineSeconds"] == 7200


def keys_in(settings: dict[str, Any], secret: str = "refine-af") -> set[str]:  # noqa: S107
    (found,) = settings["secretAsEnv"]
    assert found["secretName"] == secret
    assert found["optional"] is True
    return {item["secretKey"] for item in found["keyToEnv"]}


def test_both_engines_give_a_stage_the_same_keys_and_no_others() -> None:
    assignment = "generate_instances.api_key_variable=MY_KEY"
    compiled = made("cpu", assignment, "register_model.model_uri=s3://b/models")
    argo = argo_tasks(compiled)
    for stage, (_, settings) in kfp_tasks(compiled).items():
        assert "envFrom" not in argo[stage]["container"]
        named = [item for item in argo[stage]["container"]["env"] if "valueFrom" in item]
        references = [item["valueFrom"]["secretKeyRef"] for item in named]
        assert {item["key"] for item in references} == keys_in(settings)
        assert all(item["optional"] and item["name"] == "refine-af" for item in references)
        assert all(item["name"] == item["valueFrom"]["secretKeyRef"]["key"] for item in named)
        assert ("MY_KEY" in keys_in(settings)) == (stage == "generate_instances")
        assert ("NOTIFY_URL" in keys_in(settings)) == (stage == "notify")
        assert ("MODEL_REGISTRY_TOKEN" in keys_in(settings)) == (stage == "register_model")
        assert "AWS_ENDPOINT_URL" in keys_in(settings)  # notify reads there how tasks ended
    rows = {stage: keys_in(settings) for stage, (_, settings) in kfp_tasks(compiled).items()}
    assert not {"HF_TOKEN", "OPENAI_API_KEY"} & rows["report"]
    for asks in ("generate_instructions", "train_ppo", "score_rewards"):  # the last two a judge
        assert {"HF_TOKEN", "OPENAI_API_KEY"} <= rows[asks]
    assert not {"OPENAI_API_KEY"} & (rows["check_inputs"] | rows["dedup_filter"])
    assert {key for keys in rows.values() for key in keys} == {*SECRET_KEYS, "MY_KEY"}


def test_the_quickstart_fits_a_node_of_two_cores() -> None:
    profile = load_profile("cpu-small")
    for stage in STAGES:
        placement = place(stage, profile)
        assert quantity(placement.requests["cpu"]) * profile.parallelism <= 1.5
        assert quantity(placement.requests["memory"]) * profile.parallelism <= 6 * 1024**3
        if stage.name != "notify":
            assert quantity(placement.limits["cpu"]) > quantity(placement.requests["cpu"])
            assert quantity(placement.limits["memory"]) > quantity(placement.requests["memory"])


def test_a_request_without_a_limit_takes_the_old_limit_away() -> None:
    sizes = {"cpu_tasks": {"cpu": "1", "cpu_limit": "2"}, "stages": {"report": {"cpu": "3"}}}
    profile = Profile.model_validate({"name": "x", "summary": "x", **sizes})
    stage = next(stage for stage in STAGES if stage.name == "report")
    assert place(stage, profile).limits["cpu"] == "3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu_tasks: {cpu: 2, memory: 1Gi}", "cpu_tasks.cpu: Input should be a valid string"),
        ("cpu_tasks: {memory: 1 GB}", "'1 GB' is not a quantity"),
        ("cpu_tasks: {memory: 8Gi, memory_limit: 4Gi}", "memory_limit is 4Gi, below memory"),
        ("memory: lots", "'lots' is not a quantity"),
        ("priority_clas: a", "priority_clas: .* Did you mean 'priority_class'"),
        ("volumes: [{name: a, mount_path: /a}]", "give one of claim, secret, config_map"),
        ("volumes: [{name: a, mount_path: a, claim: b}]", "it must begin with /"),
        ("stages: {train_pp: {cpu: '1'}}", "'train_pp' is not a stage; Did you mean 'train_ppo'"),
        ("volumes: [{name: a, mount_path: /a, claim: b, stages: [x]}]", "'x' is not a stage"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_profile_is_refused_by_field(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\nsummary: x\n{text}\n")
    with pytest.raises(ParameterError, match=message):
        made(str(path))


def test_the_schema_takes_the_packaged_profiles_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    schema = json.loads(json_schema())
    texts = [WHOLE, *(Path(f"{load_profile.__globals__['PROFILE_FOLDER']}/{name}.yaml").read_text()
                      for name in profile_names())]  # fmt: skip
    for text in texts:
        jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError, match="gpu_count"):
        jsonschema.validate({"name": "a", "summary": "b", "gpu_count": 1}, schema)
    assert (ROOT / "docs/profile.schema.json").read_text(encoding="utf-8") == json_schema()


def test_the_page_names_every_field() -> None:
    page = (ROOT / "docs/profiles.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    unsaid = set(Profile.model_fields) - named - {"name", "summary", "gpu_memory_gib"}
    assert unsaid == set()


def notes(*arguments: str) -> str:
    done = CliRunner().invoke(compile_pipeline, ["--preset", "smoke", *arguments])
    assert done.exit_code == 0, done.output
    return str(done.stderr)


def test_compile_says_what_a_cluster_will_ask(tmp_path: Path) -> None:
    out = ["-o", str(tmp_path / "out")]
    told = notes("--profile", "cpu-small", *out)
    assert "largest pod under the profile cpu-small: cpu 500m (check_inputs), memory 2Gi" in told
    assert "images are named without a registry" in told
    assert "caching is off" in told
    assert "KFP cannot say these fields of the profile: parallelism" in told
    digests = tmp_path / "digests.json"
    digests.write_text(json.dumps({"report": "sha256:" + "0" * 64}))
    told = notes("--registry", "r", "--images", str(digests), "--profile", whole(tmp_path), *out)
    assert "registry" not in told
    assert "caching" not in told
    assert "priority_class, runtime_class, parallelism, artifact_gc, pod_spec_patch" in told
    assert "cpu_tasks.ephemeral_storage" in told
    assert "nvidia.com/mig-3g.40gb 1" in told
    told = notes("--to", "argo", "--profile", "cpu-small", "-o", str(tmp_path / "argo"))
    assert "caching" not in told
    assert "KFP" not in told
    for target, path, what in (("argo", "out", "a file"), ("kfp", "argo", "a folder")):
        arguments = ["--to", target, "-o", str(tmp_path / path)]
        done = CliRunner().invoke(compile_pipeline, arguments)
        assert isinstance(done.exception, ParameterError)
        assert f"it is {what}" in str(done.exception)
