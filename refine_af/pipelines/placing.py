"""Applies a placement and a profile to a KFP task, as far as kfp-kubernetes can."""

from typing import Any

from kfp import kubernetes

from refine_af.storage.endings import RUN_VARIABLE
from refine_af.targets.argo_pod import USER
from refine_af.targets.placement import SHARED_MEMORY, Placement
from refine_af.targets.profile import Profile, Volume

Task = Any  # kfp is untyped


def place_task(task: Task, placement: Placement, profile: Profile) -> None:
    """Set resources, nodes, volumes, variables, secrets and the pod's identity."""
    _set_resources(task, placement)
    _choose_nodes(task, placement)
    for item in placement.volumes:
        _mount(task, item)
    for name, value in placement.env.items():
        task.set_env_variable(name, value)
    keys = {key: key for key in placement.secret_keys}
    kubernetes.use_secret_as_env(task, profile.secret, keys, optional=True)
    kubernetes.use_field_path_as_env(task, RUN_VARIABLE, "metadata.labels['pipeline/runid']")
    _set_pod(task, profile)


def _set_resources(task: Task, placement: Placement) -> None:
    # Kubernetes takes limits as requests where none are given.
    requests, limits = placement.requests, placement.limits
    task.set_cpu_limit(limits["cpu"]).set_memory_limit(limits["memory"])
    if requests["cpu"] != limits["cpu"]:
        task.set_cpu_request(requests["cpu"])
    if requests["memory"] != limits["memory"]:
        task.set_memory_request(requests["memory"])
    if placement.gpus:
        task.set_accelerator_type(placement.gpu_resource).set_accelerator_limit(placement.gpus)
        kubernetes.empty_dir_mount(
            task, "dshm", SHARED_MEMORY, medium="Memory", size_limit=placement.shm
        )


def _choose_nodes(task: Task, placement: Placement) -> None:
    if placement.node_affinity:
        kubernetes.add_node_affinity_json(task, placement.node_affinity)
    for key, value in placement.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for item in placement.tolerations:
        kubernetes.add_toleration(
            task, key=item.key, operator=item.operator, value=item.value, effect=item.effect
        )


def _mount(task: Task, item: Volume) -> None:
    if item.claim:
        kubernetes.mount_pvc(task, item.claim, item.mount_path)
    elif item.secret:
        kubernetes.use_secret_as_volume(task, item.secret, item.mount_path)
    elif item.config_map:
        kubernetes.use_config_map_as_volume(task, item.config_map, item.mount_path)
    else:
        kubernetes.empty_dir_mount(task, item.name, item.mount_path, size_limit=item.empty_dir)


def _set_pod(task: Task, profile: Profile) -> None:
    # KFP drops all capabilities and privilege escalation itself; it cannot set a read-only root
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    if profile.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(profile.image_pull_secrets))
    if profile.image_pull_policy:
        kubernetes.set_image_pull_policy(task, profile.image_pull_policy)
    if profile.task_deadline_seconds:
        kubernetes.set_timeout(task, profile.task_deadline_seconds)
    for key, value in profile.pod_labels.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in profile.pod_annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
