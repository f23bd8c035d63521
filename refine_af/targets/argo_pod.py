"""The pod of a task in Argo: identity, volumes, resources, secrets and what it may not do."""

import json
from typing import Any

from refine_af.targets.placement import SHARED_MEMORY, Placement
from refine_af.targets.profile import Profile, Volume

Object = dict[str, Any]
"""A part of a Kubernetes object, as JSON."""

FOLDER = "/artifacts"
"""Where Argo puts inputs and takes outputs: an empty volume, because the root is read-only."""

IMAGE = "{{inputs.parameters.image}}"

USER = 65532
"""The images' user. Argo's own containers in the pod need a number too."""


def pod(placement: Placement, profile: Profile) -> Object:
    """Return a template's fields for the pod: identity, volumes, nodes, labels, deadline."""
    volumes = [
        {"name": "artifacts", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        *map(volume, placement.volumes),
    ]
    if placement.gpus:
        memory = {"medium": "Memory", "sizeLimit": placement.shm}
        volumes.append({"name": "dshm", "emptyDir": memory})
    spec: Object = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
        "metadata": _metadata(profile),
        "nodeSelector": dict(placement.node_selector),
        "tolerations": [item.model_dump(exclude_none=True) for item in placement.tolerations],
        "affinity": {"nodeAffinity": placement.node_affinity} if placement.node_affinity else {},
        "activeDeadlineSeconds": profile.task_deadline_seconds,
        "priorityClassName": profile.priority_class,
        "podSpecPatch": _patch(profile),
    }
    if placement.launches:  # all other pods get no token, as the Workflow says
        spec |= {
            "serviceAccountName": profile.trainer_service_account,
            "automountServiceAccountToken": True,
        }
    return {name: value for name, value in spec.items() if value}


def _metadata(profile: Profile) -> Object:
    metadata = {"labels": dict(profile.pod_labels), "annotations": dict(profile.pod_annotations)}
    return {name: value for name, value in metadata.items() if value}


def _patch(profile: Profile) -> str:
    patch = {"runtimeClassName": profile.runtime_class} if profile.runtime_class else {}
    patch |= profile.pod_spec_patch
    return json.dumps(patch, sort_keys=True) if patch else ""


def volume(item: Volume) -> Object:
    """Return a volume of the profile as Kubernetes writes it."""
    sources: dict[str, Object] = {
        "persistentVolumeClaim": {"claimName": item.claim},
        "secret": {"secretName": item.secret},
        "configMap": {"name": item.config_map},
        "emptyDir": {"sizeLimit": item.empty_dir},
    }
    (source,) = ((name, value) for name, value in sources.items() if all(value.values()))
    return {"name": item.name, source[0]: source[1]}


def container(placement: Placement, profile: Profile) -> Object:
    """Return the container of a task, without its command."""
    mounts = {"artifacts": FOLDER, "tmp": "/tmp"}  # noqa: S108  a volume of the pod
    mounts |= {item.name: item.mount_path for item in placement.volumes}
    if placement.gpus:
        mounts["dshm"] = SHARED_MEMORY
    policy = {"imagePullPolicy": profile.image_pull_policy} if profile.image_pull_policy else {}
    return {
        "image": IMAGE,
        **policy,
        "env": environment(placement, profile),
        "resources": {"requests": placement.requests, "limits": placement.limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }


def environment(placement: Placement, profile: Profile) -> list[Object]:
    """Return a container's variables, those from the secret included."""
    return [
        *({"name": name, "value": value} for name, value in placement.env.items()),
        *(_secret(profile.secret, key) for key in placement.secret_keys),
    ]


def _secret(name: str, key: str) -> Object:
    reference = {"name": name, "key": key, "optional": True}
    return {"name": key, "valueFrom": {"secretKeyRef": reference}}
