"""The Kubeflow TrainJob (Trainer 2) of a stage that trains on several nodes, and who starts it.

The stage's pod only starts the job and watches it (:mod:`refine_af.processes.launch`), so it is
small and has no GPU. What the profile gives the stage goes to the pods of the job instead. The pod
gets the job as JSON in a variable, so it needs to read nothing of the cluster.
"""

import json
from dataclasses import replace

from refine_af.contracts.stage import Stage
from refine_af.processes.kubernetes import GROUP
from refine_af.processes.launch import TEMPLATE_VARIABLE
from refine_af.targets.argo_pod import USER, Object, environment, volume
from refine_af.targets.placement import SHARED_MEMORY, Placement, place
from refine_af.targets.profile import Profile, Size

LAUNCHER = Size(cpu="500m", memory="2Gi", cpu_limit="2", memory_limit="4Gi")
"""It holds the stage's inputs and outputs on its disk, and computes nothing but digests."""

NODE = "node"
"""What Kubeflow's runtimes call the replicated job of the trainer, and its container."""


def launcher(stage: Stage, profile: Profile, image: str) -> Placement:
    """Return the placement of the pod that starts the job of a stage."""
    nodes = place(stage, profile)
    template = json.dumps(train_job(nodes, profile, image), sort_keys=True)
    return replace(
        nodes,
        size=LAUNCHER,
        gpus=0,
        node_selector={},
        tolerations=(),
        node_affinity={},
        env=nodes.env | {TEMPLATE_VARIABLE: template},
        launches=True,
    )


def train_job(nodes: Placement, profile: Profile, image: str) -> Object:
    """Return the job without name, command and counts, which the stage's pod adds.

    Args:
        nodes: The placement of the stage, which each node of the job gets.
        profile: What else the platform sets.
        image: Of the stage.
    """
    spec: Object = {
        "runtimeRef": {
            "apiGroup": GROUP.partition("/")[0],
            "kind": "ClusterTrainingRuntime",
            "name": profile.training_runtime,
        },
        "trainer": {
            "image": image,
            "env": environment(nodes, profile),
            "resourcesPerNode": {"requests": nodes.requests, "limits": nodes.limits},
            "gpus": nodes.gpus,
        },
        "runtimePatches": [
            {"manager": "refine-af", "trainingRuntimeSpec": {"template": _patch(nodes, profile)}}
        ],
    }
    if profile.task_deadline_seconds:
        spec["activeDeadlineSeconds"] = profile.task_deadline_seconds
    return {
        "apiVersion": GROUP,
        "kind": "TrainJob",
        "metadata": {"labels": {"app.kubernetes.io/name": "refine-af"}},
        "spec": spec,
    }


def _patch(nodes: Placement, profile: Profile) -> Object:
    """Return what is laid over the runtime's JobSet: nodes, volumes, identity, labels."""
    metadata = {"labels": dict(profile.pod_labels), "annotations": dict(profile.pod_annotations)}
    pods = {
        "metadata": {name: value for name, value in metadata.items() if value},
        "spec": _pod(nodes, profile),
    }
    pods = {name: value for name, value in pods.items() if value}
    job = {"name": NODE, "template": {"spec": {"template": pods}}}
    return {"spec": {"replicatedJobs": [job]}}


def _pod(nodes: Placement, profile: Profile) -> Object:
    mounts = {"tmp": "/tmp"} | {item.name: item.mount_path for item in nodes.volumes}  # noqa: S108
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {}}, *map(volume, nodes.volumes)]
    if nodes.gpus:
        mounts["dshm"] = SHARED_MEMORY
        memory = {"medium": "Memory", "sizeLimit": nodes.shm}
        volumes.append({"name": "dshm", "emptyDir": memory})
    spec: Object = {
        "serviceAccountName": profile.service_account,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NODE,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": k, "mountPath": path} for k, path in mounts.items()],
            }
        ],
        "volumes": volumes,
        "nodeSelector": dict(nodes.node_selector),
        "tolerations": [item.model_dump(exclude_none=True) for item in nodes.tolerations],
        "affinity": {"nodeAffinity": nodes.node_affinity} if nodes.node_affinity else {},
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
    }
    return {name: value for name, value in spec.items() if value}
