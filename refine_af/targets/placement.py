"""What the pod of one task is given, from its stage and the profile: the same for KFP and Argo."""

from dataclasses import dataclass, field
from typing import Any

from refine_af.contracts.stage import FINAL_STATUS, Stage
from refine_af.targets.profile import Profile, Size, StageFields, Toleration, Volume, quantity

SHARED_MEMORY = "/dev/shm"  # noqa: S108  the mount point that vLLM and NCCL expect
MODEL_CACHE = "/models"
MODEL_CACHE_VARIABLES = {"HF_HOME": f"{MODEL_CACHE}/huggingface"}
GOOGLE_FOLDER = "/var/run/secrets/google"
GOOGLE_VARIABLES = {"GOOGLE_APPLICATION_CREDENTIALS": f"{GOOGLE_FOLDER}/key.json"}

STORE_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
)
"""For journals in a bucket, which every stage may have."""

HUB_KEYS = ("HF_TOKEN", "HF_ENDPOINT")
"""For stages with a parameter that names a model or data, which may lie on the Hub."""

ENGINE_KEYS = ("OPENAI_API_KEY",)
"""For stages that ask an engine or a judge."""

REGISTRY_KEYS = ("MODEL_REGISTRY_TOKEN", "OCI_USERNAME", "OCI_PASSWORD")
"""For the stage that registers a model, and pushes it."""

EXIT_KEYS = ("NOTIFY_URL",)
"""For the exit task, which under KFP also reads from the journals' bucket how tasks ended."""

SECRET_KEYS = (*HUB_KEYS, *STORE_KEYS, *ENGINE_KEYS, *REGISTRY_KEYS, *EXIT_KEYS)
"""Keys of the Kubernetes secret, each optional; none is needed where the platform gives
credentials (workload identity, IRSA) and models are public."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one task may run and what it is given.

    ``launches``: it starts a job of the cluster and waits for it, so it may talk to the cluster.
    """

    size: Size
    gpus: int = 0
    gpu_resource: str = ""
    shm: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    node_affinity: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    secret_keys: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    launches: bool = False

    @property
    def requests(self) -> dict[str, str]:
        """Return the container's requests by resource."""
        return self._resources(self.size.cpu, self.size.memory)

    @property
    def limits(self) -> dict[str, str]:
        """Return the container's limits by resource."""
        cpu, memory = self.size.cpu_limit, self.size.memory_limit
        return self._resources(cpu or self.size.cpu, memory or self.size.memory)

    def _resources(self, cpu: str, memory: str) -> dict[str, str]:
        resources = {"cpu": cpu, "memory": memory}
        if self.size.ephemeral_storage:
            resources["ephemeral-storage"] = self.size.ephemeral_storage
        return resources | ({self.gpu_resource: str(self.gpus)} if self.gpus else {})


def place(stage: Stage, profile: Profile) -> Placement:
    """Return the placement of a task; only GPU stages under a GPU profile leave the CPU nodes."""
    own = profile.stages.get(stage.name, StageFields())
    size = _laid_over(_size(stage, profile), own)
    volumes = [item for item in _volumes(profile) if stage.name in item.stages or not item.stages]
    env = MODEL_CACHE_VARIABLES if profile.model_cache else {}
    env = env | (GOOGLE_VARIABLES if profile.google_credentials else {}) | profile.env | own.env
    common: dict[str, Any] = {
        "size": size,
        "env": env,
        "secret_keys": secret_keys(stage, profile),
        "volumes": tuple(volumes),
    }
    if not on_gpu(stage, profile):
        return Placement(**common)
    return Placement(
        **common,
        gpus=profile.gpus,
        gpu_resource=profile.gpu_resource,
        shm=profile.shm,
        node_selector=dict(profile.node_selector),
        tolerations=profile.tolerations,
        node_affinity=profile.node_affinity,
    )


def on_gpu(stage: Stage, profile: Profile) -> bool:
    """Return whether a stage's tasks get a GPU."""
    return stage.resources.gpu and profile.gpus > 0


def _size(stage: Stage, profile: Profile) -> Size:
    if on_gpu(stage, profile):
        return Size(cpu=profile.cpu, memory=profile.memory)
    own = Size(cpu=stage.resources.cpu, memory=stage.resources.memory)
    # the exit task sends one message: it stays as small as it is
    return own if _is_exit_task(stage) else _laid_over(own, profile.cpu_tasks)


def _is_exit_task(stage: Stage) -> bool:
    return FINAL_STATUS in stage.params.model_fields


def _laid_over(size: Size, own: Size) -> Size:
    """Return ``own`` with the rest taken from ``size``; a limit goes with its request."""
    chosen = {name: getattr(own, name) or getattr(size, name) for name in Size.model_fields}
    for name in ("cpu", "memory"):
        if getattr(own, name) and not getattr(own, f"{name}_limit"):
            chosen[f"{name}_limit"] = ""
    return Size(**chosen)


def _volumes(profile: Profile) -> tuple[Volume, ...]:
    volumes = profile.volumes
    if profile.model_cache:
        volumes += (Volume(name="models", mount_path=MODEL_CACHE, claim=profile.model_cache),)
    if profile.google_credentials:
        secret = profile.google_credentials
        volumes += (Volume(name="google", mount_path=GOOGLE_FOLDER, secret=secret),)
    return volumes


def secret_keys(stage: Stage, profile: Profile) -> tuple[str, ...]:
    """Return the keys of the secret that a stage can need, by its parameters and the profile."""
    params = stage.params.model_fields
    own = profile.stages.get(stage.name, StageFields()).secret_keys
    if _is_exit_task(stage):
        return (*EXIT_KEYS, *STORE_KEYS, *own)
    keys = [*STORE_KEYS, *profile.secret_keys, *own]
    if any(name.endswith(("_uri", "model", "tokenizer")) for name in params):
        keys += HUB_KEYS
    judges = "judge_engine" in params and stage.inputs  # check_inputs has no rows to be judged
    if "engine" in params or judges:
        keys += ENGINE_KEYS
    if "registry" in params:
        keys += REGISTRY_KEYS
    return tuple(dict.fromkeys(keys))


def largest_pod(stages: list[Stage], profile: Profile) -> str:
    """Return one line for people: the largest request for each resource, and its stages."""
    rows = [(stage.name, place(stage, profile)) for stage in stages]
    sizes = []
    for resource in ("cpu", "memory"):
        name, placement = max(rows, key=lambda row: quantity(row[1].requests[resource]))
        sizes.append(f"{resource} {placement.requests[resource]} ({name})")
    gpus = max(placement.gpus for _, placement in rows)
    sizes += [f"{profile.gpu_resource} {gpus}"] if gpus else []
    return f"largest pod under the profile {profile.name}: " + ", ".join(sizes)
