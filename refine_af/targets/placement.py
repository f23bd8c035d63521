"""Hardware profiles as data, and where a task of a stage may run under one."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.stage import Resources

PROFILE_FOLDER = Path(__file__).parent / "profiles"
GPU_RESOURCE = "nvidia.com/gpu"
SHARED_MEMORY = "/dev/shm"  # noqa: S108  the mount point that vLLM and NCCL expect
MODEL_CACHE = "/models"
MODEL_CACHE_VARIABLES = {"HF_HOME": f"{MODEL_CACHE}/huggingface"}
SECRET = "refine-af"  # noqa: S105  a name
SECRET_KEYS = (
    "HF_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "OPENAI_API_KEY",
    "NOTIFY_URL",
)
"""Keys of the Kubernetes secret ``refine-af``, each optional; none is needed where the platform
gives credentials (workload identity, IRSA) and models are public."""


def secret_keys(params: set[str]) -> list[str]:
    """Return the keys that a stage with such parameters can need; KFP has to be told each."""
    if "final_status" in params:
        return ["NOTIFY_URL"]
    unwanted = {"NOTIFY_URL"} if "engine" in params else {"NOTIFY_URL", "OPENAI_API_KEY"}
    return [key for key in SECRET_KEYS if key not in unwanted]


class Toleration(BaseModel):
    """A Kubernetes toleration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    operator: str = "Exists"
    value: str | None = None
    effect: str = "NoSchedule"


class Profile(BaseModel):
    """A kind of node that GPU stages run on. With no GPU, every stage runs as a CPU stage.

    Attributes:
        name: Also the file's name.
        summary: One line for people.
        gpus: GPUs per task of a GPU stage.
        gpu_memory_gib: Memory of one GPU, for estimates.
        cpu: CPU limit of a GPU task.
        memory: Memory limit of a GPU task.
        shm: Size of ``/dev/shm``, which vLLM and NCCL need far above the default 64 MiB.
        node_selector: Labels that a node must carry.
        tolerations: Taints that a task tolerates.
        node_affinity: Kubernetes ``nodeAffinity``, for wishes that labels cannot say.
        model_cache: Name of a PersistentVolumeClaim that keeps downloaded models between tasks;
            empty: each task downloads its model.
        retries: How often KFP and Argo try a failed task again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    gpus: Annotated[int, Field(ge=0, le=16)] = 0
    gpu_memory_gib: Annotated[float, Field(ge=0)] = 0.0
    cpu: str = "4"
    memory: str = "16Gi"
    shm: str = "8Gi"
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    node_affinity: dict[str, Any] = Field(default_factory=dict)
    model_cache: str = ""
    retries: Annotated[int, Field(ge=0, le=10)] = 2


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one task may run and what it may use."""

    cpu: str
    memory: str
    gpus: int = 0
    shm: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    node_affinity: dict[str, Any] = field(default_factory=dict)
    model_cache: str = ""


def place(resources: Resources, profile: Profile) -> Placement:
    """Return the placement of a task; only GPU stages under a GPU profile leave the CPU nodes."""
    if not resources.gpu or profile.gpus == 0:
        return Placement(
            cpu=resources.cpu, memory=resources.memory, model_cache=profile.model_cache
        )
    return Placement(
        cpu=profile.cpu,
        memory=profile.memory,
        gpus=profile.gpus,
        shm=profile.shm,
        node_selector=dict(profile.node_selector),
        tolerations=profile.tolerations,
        node_affinity=profile.node_affinity,
        model_cache=profile.model_cache,
    )


def load_profile(name: str) -> Profile:
    """Return a packaged profile by name, or one of the user's own by the path of its YAML file.

    Raises:
        ParameterError: For an unknown name or a file of another shape.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILE_FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = sorted(item.stem for item in PROFILE_FOLDER.glob("*.yaml"))
        raise ParameterError(
            f"profile {name!r} is not one;{nearest(name, known)} profiles: {', '.join(known)},"
            " or the path of a YAML file"
        )
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ParameterError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
