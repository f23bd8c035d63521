"""The Argo files: valid by Argo's own schema, complete, and refused where they cannot be."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from levels import levels, tasks_of

from refine_af.contracts.errors import ParameterError
from refine_af.generate import ROOT
from refine_af.pipelines.argo import dag_template, write_argo
from refine_af.pipelines.argo import templates_of as templates_of_compiled
from refine_af.pipelines.compiling import Compiled, compile_request
from refine_af.pipelines.config import PIPELINE_PARAMETERS, load_config, preset_names
from refine_af.pipelines.flow import Images
from refine_af.stages import STAGES
from refine_af.targets.argo import stage_template
from refine_af.targets.placement import SECRET_KEYS
from refine_af.targets.profile import load_profile

Object = dict[str, Any]
FILES = sorted((ROOT / "manifests" / "argo").glob("*/*.yaml"))
KIND = "io.argoproj.workflow.v1alpha1."


def documents(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def strict(schema: Object) -> Object:
    """Return Argo's schema without room for misspelt fields.

    As published it allows any field, and calls two types strings that may be numbers.
    """
    for definition in schema["definitions"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    for name in ("util.intstr.IntOrString", "api.resource.Quantity"):
        found = [key for key in schema["definitions"] if key.endswith(name)]
        for key in found:
            schema["definitions"][key] = {"type": ["string", "number"]}
    return schema


@pytest.fixture(scope="module")
def schema() -> Object:
    folder = os.environ.get("REFINE_AF_TEST_DATA")
    if not folder:
        pytest.skip("REFINE_AF_TEST_DATA is not set: Argo's schema is not at hand")
    (path,) = (Path(folder) / "schemas").glob("argo-workflows-*.json")
    return strict(json.loads(path.read_text(encoding="utf-8")))


def problems(document: Object, schema: Object) -> list[str]:
    import jsonschema

    kind = {"$ref": f"#/definitions/{KIND}{document['kind']}"}
    validator = jsonschema.Draft202012Validator(kind | {"definitions": schema["definitions"]})
    return [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_are_valid_by_argos_schema(path: Path, schema: Object) -> None:
    found = documents(path)
    assert found
    for document in found:
        assert problems(document, schema) == []


def test_the_schema_is_strict(schema: Object) -> None:
    document = stage_template(STAGES[0], load_profile("l4"), "1")
    document["spec"]["templates"][0]["container"]["imagePullPolicies"] = "Always"
    assert any("imagePullPolicies" in problem for problem in problems(document, schema))


def smoke(profile: str, images: Images) -> Compiled:
    return compile_request(load_config("smoke", ""), profile, images)


def full_profile(folder: Path) -> str:
    path = folder / "own.yaml"
    path.write_text(
        "name: own\nsummary: all of it\ngpus: 2\nshm: 4Gi\nmodel_cache: models\n"
        "node_selector: {pool: gpu}\ntolerations: [{key: gpu}]\n"
        "node_affinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms:"
        " [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}\n"
    )
    return str(path)


def test_a_profile_of_ones_own_reaches_the_gpu_pods(tmp_path: Path, request: Any) -> None:  # noqa: ANN401
    write_argo(smoke(full_profile(tmp_path), Images("r", "1")), tmp_path, "mine")
    rows = {
        doc["metadata"]["labels"]["app.kubernetes.io/component"]: doc
        for doc in documents(tmp_path / "templates.yaml")
    }
    (template,) = rows["train-ppo"]["spec"]["templates"]
    box = template["container"]
    assert box["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert template["nodeSelector"] == {"pool": "gpu"}
    assert template["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "nodeSelectorTerms" in str(template["affinity"])
    volumes = {item["name"]: item for item in template["volumes"]}
    assert volumes["dshm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Gi"}
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == "models"
    assert {"name": "HF_HOME", "value": "/models/huggingface"} in box["env"]
    assert "dedup-filter" in rows
    if os.environ.get("REFINE_AF_TEST_DATA"):
        schema = request.getfixturevalue("schema")
        assert [problems(doc, schema) for doc in rows.values()] == [[]] * len(rows)


def templates_of(path: Path) -> Iterator[tuple[Object, Object]]:
    for document in documents(path):
        for template in document["spec"].get("templates", []):
            yield document, template


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_container_is_bounded_and_may_do_nothing(path: Path) -> None:
    for _, template in templates_of(path):
        if "container" not in template:
            continue
        box = template["container"]
        assert box["resources"]["requests"].keys() == box["resources"]["limits"].keys()
        assert {"cpu", "memory"} <= set(box["resources"]["limits"])
        assert box["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert template["securityContext"]["runAsNonRoot"] is True
        assert template["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        mounted = {mount["mountPath"] for mount in box["volumeMounts"]}
        assert {"/artifacts", "/tmp"} <= mounted  # noqa: S108


@pytest.mark.parametrize(
    ("preset", "profile"),
    [
        *((preset, "h100") for preset in preset_names()),
        *((preset, "cpu") for preset in ("smoke", "quickstart", "teams-rl-smoke")),
    ],
)
def test_no_stage_of_any_preset_has_the_clusters_token_or_a_whole_secret(
    preset: str, profile: str
) -> None:
    made = compile_request(load_config(preset, ""), profile, Images("r", "1"), notify=True)
    dag = dag_template(made, "x")["spec"]
    assert dag["automountServiceAccountToken"] is False
    assert dag["executor"] == {"serviceAccountName": "refine-af"}
    for document in templates_of_compiled(made).values():
        [template] = document["spec"]["templates"]
        assert {"automountServiceAccountToken", "serviceAccountName"}.isdisjoint(template)
        box = template["container"]
        assert "envFrom" not in box
        references = [row["valueFrom"]["secretKeyRef"] for row in box["env"] if "valueFrom" in row]
        assert {row["name"] for row in references} <= {"refine-af"}
        assert {row["key"] for row in references} <= set(SECRET_KEYS)
        assert not [item for item in template["volumes"] if "secret" in item]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_secret_value_and_no_bucket_is_in_a_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"bucket:|accessKey|secretKey:|BEGIN |serviceAccountKey", text)


def test_the_dag_is_kfps(tmp_path: Path) -> None:
    config = load_config("default", "").with_values(("shards=2",))
    made = compile_request(config, "a100", Images())
    drawn = levels(made.spec)
    dag = dag_template(made, "x")["spec"]
    templates = {template["name"]: template["dag"]["tasks"] for template in dag["templates"]}
    assert set(templates) == {path.replace("/", "-") or "pipeline" for path in drawn}
    for path, level in drawn.items():
        tasks = templates[path.replace("/", "-") or "pipeline"]
        edges = sum(len(task.get("dependentTasks", [])) for task in level["tasks"].values())
        assert len(tasks) == len(level["tasks"])
        assert (
            sum(len(task["depends"].split(" && ")) for task in tasks if "depends" in task) == edges
        )
    rows = {task["name"]: task for tasks in templates.values() for task in tasks}
    assert "shards" in rows["dedup-filter"]["depends"]
    assert rows["rl-ppo-and-data"]["template"] == "rl-ppo-and-data"
    assert rows["train-ppo"]["templateRef"]["template"] == "train-ppo"
    names = [item["name"] for item in dag["arguments"]["parameters"]]
    assert names[: 1 + len(PIPELINE_PARAMETERS)] == ["registry", *PIPELINE_PARAMETERS]
    assert all(item["description"] for item in dag["arguments"]["parameters"])


def test_only_the_registry_has_to_be_given() -> None:
    for path in FILES:
        for document in documents(path):
            given = document["spec"].get("arguments", {}).get("parameters", [])
            assert [item["name"] for item in given if "value" not in item] in ([], ["registry"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameterIterator": {}}, "a loop cannot be translated"),
        ({"triggerPolicy": {"condition": "1 == 1"}}, "a condition cannot be translated"),
        ({"componentRef": {"name": "importer"}}, "not a stage"),
    ],
)
def test_what_argo_cannot_say_is_refused_by_name(change: Object, message: str) -> None:
    made = smoke("cpu", Images())
    spec = made.spec
    tasks_of(spec)["seed_ingest"].update(change)
    spec["components"] |= {"importer": {"executorLabel": "importer"}}
    spec["deploymentSpec"]["executors"]["importer"] = {"importer": {}}
    with pytest.raises(ParameterError, match=f"task seed_ingest: {message}"):
        dag_template(made, "x")


def test_digests_pin_the_images() -> None:
    digest = "sha256:" + "a" * 64
    images = Images("registry.example", "1", {"train_ppo": digest})
    dag = dag_template(smoke("cpu", images), "x")["spec"]
    values = {
        task["name"]: task["arguments"]["parameters"][0]["value"]
        for template in dag["templates"]
        for task in template["dag"]["tasks"]
        if "templateRef" in task
    }
    assert values["train-ppo"] == "{{workflow.parameters.registry}}/refine-af-train_ppo@" + digest
    assert values["report"] == "{{workflow.parameters.registry}}/refine-af-report:1"
    assert dag["arguments"]["parameters"][0]["value"] == "registry.example"
