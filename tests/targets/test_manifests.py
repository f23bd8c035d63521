"""The kustomize folders, rendered and checked against Kubernetes' own schemas."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from refine_af.generate import ROOT
from refine_af.stages import STAGES
from refine_af.targets.argo import stage_template
from refine_af.targets.argo_pod import Object
from refine_af.targets.placement import SECRET_KEYS
from refine_af.targets.profile import load_profile

MANIFESTS = ROOT / "manifests"
VERSION = "1.37"
FOLDERS = ["base", "overlays/gke-gcs", "overlays/s3"]


def rendered(folder: str) -> dict[str, Object]:
    """Return the objects of a kustomize folder by kind."""
    if not shutil.which("kubectl"):
        # no failure in CI: PyPI has none, and the 1.20 of Debian 12 cannot read the folders
        pytest.skip("kubectl is not installed (1.32 renders them): kustomize folders are untested")
    done = subprocess.run(
        ["kubectl", "kustomize", str(MANIFESTS / folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


def check(document: Object) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_renders_and_is_valid(folder: str) -> None:
    objects = rendered(folder)
    for document in objects.values():
        check(document)
    labels = objects["Namespace"]["metadata"]["labels"]
    # a plain Argo's own containers do not meet `restricted`: it would refuse every pod
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"
    others = [item for kind, item in objects.items() if kind != "Namespace"]
    assert {item["metadata"]["namespace"] for item in others} == {"refine-af"}


def test_only_the_trainers_account_may_make_jobs() -> None:
    objects = rendered("trainer")
    for document in objects.values():
        check(document)
    (rule,) = objects["Role"]["rules"]
    assert rule == {
        "apiGroups": ["trainer.kubeflow.org"],
        "resources": ["trainjobs"],
        "verbs": ["get", "create", "delete"],
    }
    account = load_profile("cpu").trainer_service_account
    assert objects["ServiceAccount"]["metadata"]["name"] == account
    (subject,) = objects["RoleBinding"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": account, "namespace": "refine-af"}


def test_the_check_is_strict() -> None:
    wrong: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "a", "anotations": {}},
    }
    with pytest.raises(kubernetes_validate.ValidationError):
        check(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_service_account_may_report_outputs_and_nothing_else(folder: str) -> None:
    objects = rendered(folder)
    assert objects["Role"]["rules"] == [
        {
            "apiGroups": ["argoproj.io"],
            "resources": ["workflowtaskresults"],
            "verbs": ["create", "patch"],
        }
    ]
    assert objects["RoleBinding"]["subjects"][0]["name"] == "refine-af"
    assert "ClusterRole" not in objects


@pytest.mark.parametrize(("folder", "store"), [("overlays/gke-gcs", "gcs"), ("overlays/s3", "s3")])
def test_an_overlay_names_one_artifact_repository(folder: str, store: str) -> None:
    repository = rendered(folder)["ConfigMap"]
    chosen = repository["metadata"]["annotations"][
        "workflows.argoproj.io/default-artifact-repository"
    ]
    found = yaml.safe_load(repository["data"][chosen])
    assert store in found
    assert found[store]["bucket"] == "CHANGE-ME"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_only_secret_is_the_token_that_argos_executor_mounts(folder: str) -> None:
    objects = rendered(folder)
    account = objects["ServiceAccount"]["metadata"]["name"]
    secret = objects["Secret"]
    assert secret["metadata"]["name"] == f"{account}.service-account-token"
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.name"] == account
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert "data" not in secret
    assert "stringData" not in secret


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_reaches_a_pod_and_it_reaches_stores_and_the_cluster(folder: str) -> None:
    policy = rendered(folder)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    (selected,) = policy["podSelector"]["matchExpressions"]
    assert selected == {"key": "workflows.argoproj.io/workflow", "operator": "Exists"}
    ports = {item["port"] for rule in policy["egress"] for item in rule["ports"]}
    assert {53, 443, 6443, 9000} <= ports
    everywhere = [rule["ports"] for rule in policy["egress"] if "to" not in rule]
    assert {item["port"] for rule in everywhere for item in rule} == {53, 443, 6443}


def test_the_secrets_shape_is_known_keys_without_values() -> None:
    example = yaml.safe_load((MANIFESTS / "base/secret.example.yaml").read_text(encoding="utf-8"))
    check(example)
    assert example["stringData"] == dict.fromkeys(SECRET_KEYS, "")
    page = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in page for key in SECRET_KEYS)


def as_pod(template: Object) -> Object:
    """Return the pod that Argo makes of a template, without its own containers."""
    fields = ("securityContext", "volumes", "nodeSelector", "tolerations", "affinity")
    spec = {name: template[name] for name in fields if name in template}
    box = template["container"] | {"name": "main"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": template["name"]},
        "spec": spec | {"containers": [box]},
    }


@pytest.mark.parametrize(
    "profile", sorted(Path(ROOT / "refine_af/targets/profiles").glob("*.yaml"))
)
def test_every_stages_pod_is_valid(profile: Path) -> None:
    for stage in STAGES:
        (template,) = stage_template(stage, load_profile(profile.stem), "1")["spec"]["templates"]
        check(as_pod(template))
