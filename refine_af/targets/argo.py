"""The Argo template of a stage: one ``WorkflowTemplate`` that any Argo DAG can refer to.

Artifacts are key-only: Argo keeps the key and takes type, bucket and credentials from the
namespace's artifact repository, so the same file works on S3, MinIO and Cloud Storage.
"""

from typing import Any

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.params import Scalar
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Artifact, Stage
from refine_af.targets.kfp_source import image_name
from refine_af.targets.placement import (
    GPU_RESOURCE,
    MODEL_CACHE,
    MODEL_CACHE_VARIABLES,
    SECRET,
    SHARED_MEMORY,
    Placement,
    Profile,
    place,
)

Object = dict[str, Any]
"""A part of a Kubernetes object, as JSON."""

API = "argoproj.io/v1alpha1"
FOLDER = "/artifacts"
"""Where Argo puts inputs and takes outputs: an empty volume, because the root is read-only."""

USER = 65532
"""The images' user. Argo's own containers in the pod need a number too."""

NEVER_RETRIED = (ParameterError.exit_code, DataError.exit_code)


def words(value: Scalar) -> str:
    """Return a value as Argo passes it: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def template_name(stage: Stage, profile: Profile) -> str:
    """Return the name of the stage's WorkflowTemplate; only GPU placement depends on a profile."""
    suffix = f"-{profile.name}" if place(stage.resources, profile).gpus else ""
    return f"refine-af-{stage.command}{suffix}"


def metadata(name: str, component: str, title: str) -> Object:
    """Return the metadata of an object of the project."""
    return {
        "name": name,
        "labels": {
            "app.kubernetes.io/name": "refine-af",
            "app.kubernetes.io/component": component,
        },
        "annotations": {"workflows.argoproj.io/description": title},
    }


def stage_template(stage: Stage, profile: Profile, tag: str) -> Object:
    """Return the ``WorkflowTemplate`` of a stage; its one template is named like the command."""
    template = {
        "name": stage.command,
        "inputs": {
            "parameters": _parameters(stage, tag),
            "artifacts": [_input(item) for item in stage.inputs],
        },
        "outputs": _outputs(stage),
        "retryStrategy": _retries(profile),
    }
    template |= pod(place(stage.resources, profile))
    template["container"] = container(stage, place(stage.resources, profile))
    return {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": metadata(template_name(stage, profile), stage.command, stage.summary),
        "spec": {"templates": [template]},
    }


def _parameters(stage: Stage, tag: str) -> list[Object]:
    rows: list[Object] = [
        {
            "name": "image",
            "default": image_name(stage, "", tag),
            "description": "The stage's image.",
        },
        {
            "name": "task",
            "default": stage.command,
            "description": "Name of the task: the folder of its artifacts.",
        },
        {"name": "work_dir", "default": "", "description": "Folder or URI of the journals."},
        {"name": "label", "default": "", "description": "Arm or shard, in progress reports."},
    ]
    for name, field in stage.params.model_fields.items():
        row: Object = {"name": name, "description": field.description}
        if not field.is_required():
            row["default"] = words(field.default)
        rows.append(row)
    return rows


def _input(item: Artifact) -> Object:
    found: Object = {"name": item.name, "path": f"{FOLDER}/inputs/{item.name}"}
    return found | ({"optional": True} if item.optional else {})


def _outputs(stage: Stage) -> Object:
    items = (*stage.outputs, *EVERY_STAGE_WRITES)
    values = [
        {"name": item.name, "valueFrom": {"path": f"{FOLDER}/outputs/{item.name}"}}
        for item in items
        if item.kind == "parameter"
    ]
    artifacts = [
        {
            "name": item.name,
            "path": f"{FOLDER}/outputs/{item.name}",
            "archive": {"none": {}},  # rows stay readable in the bucket
            "s3": {"key": "refine-af/{{workflow.name}}/{{inputs.parameters.task}}/" + item.name},
        }
        for item in items
        if item.kind != "parameter"
    ]
    return {"artifacts": artifacts} | ({"parameters": values} if values else {})


def _retries(profile: Profile) -> Object:
    """Return who is tried again: all but mistakes, which a retry repeats.

    No ``maxDuration``: Argo counts it from the start of the first attempt and ends running tries
    when it is over, so a task that lost its node after hours would not be tried again.
    """
    codes = " && ".join(f"asInt(lastRetry.exitCode) != {code}" for code in NEVER_RETRIED)
    return {
        "limit": str(profile.retries),
        "retryPolicy": "Always",
        "expression": codes,
        "backoff": {"duration": "30s", "factor": "2"},
    }


def pod(placement: Placement) -> Object:
    """Return what the pod of a task is given: place, volumes, identity."""
    found: Object = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "artifacts", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    if placement.model_cache:
        claim = {"claimName": placement.model_cache}
        found["volumes"].append({"name": "models", "persistentVolumeClaim": claim})
    if placement.shm:
        memory = {"medium": "Memory", "sizeLimit": placement.shm}
        found["volumes"].append({"name": "dshm", "emptyDir": memory})
    if placement.node_selector:
        found["nodeSelector"] = dict(placement.node_selector)
    if placement.tolerations:
        found["tolerations"] = [
            item.model_dump(exclude_none=True) for item in placement.tolerations
        ]
    if placement.node_affinity:
        found["affinity"] = {"nodeAffinity": placement.node_affinity}
    return found


def container(stage: Stage, placement: Placement) -> Object:
    """Return the container of a task: the stage's command, its means and what it may not do."""
    means = {"cpu": placement.cpu, "memory": placement.memory}
    if placement.gpus:
        means[GPU_RESOURCE] = str(placement.gpus)
    environment = MODEL_CACHE_VARIABLES if placement.model_cache else {}
    mounts = {"artifacts": FOLDER, "tmp": "/tmp"}  # noqa: S108  a volume of the pod
    if placement.model_cache:
        mounts["models"] = MODEL_CACHE
    if placement.shm:
        mounts["dshm"] = SHARED_MEMORY
    return {
        "image": "{{inputs.parameters.image}}",
        "command": ["refine-af", stage.command],
        "args": _arguments(stage),
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "envFrom": [{"secretRef": {"name": SECRET, "optional": True}}],
        "resources": {"requests": means, "limits": dict(means)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }


def _arguments(stage: Stage) -> list[str]:
    names = ["work_dir", "label", *stage.params.model_fields]
    given = [f"--{name.replace('_', '-')}={{{{inputs.parameters.{name}}}}}" for name in names]
    return [f"--inputs-dir={FOLDER}/inputs", f"--outputs-dir={FOLDER}/outputs", *given]
