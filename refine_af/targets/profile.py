"""A hardware profile: what a platform team sets for the pods of a pipeline, as data.

``docs/profiles.md`` says it for people, ``docs/profile.schema.json`` for editors.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from refine_af.contracts.errors import ParameterError, nearest

PROFILE_FOLDER = Path(__file__).parent / "profiles"
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)
}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]*)")


def quantity(text: str) -> float:
    """Return a Kubernetes quantity such as ``500m`` or ``16Gi`` as a number.

    Raises:
        ValueError: When it is none.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None or match.group(2) not in UNITS:
        raise ValueError(f"{text!r} is not a quantity; write 500m, 2, 512Mi or 16Gi")
    return float(match.group(1)) * UNITS[match.group(2)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _described(text: str, default: Any = "") -> Any:  # noqa: ANN401  a field's default
    return Field(default, description=text)


class Size(_Fields):
    """What a pod asks for. Limits that are not given equal the requests."""

    cpu: str = _described("CPUs that a node must have free: 500m or 2.")
    memory: str = _described("Memory that a node must have free: 512Mi or 16Gi.")
    cpu_limit: str = _described("CPUs that the pod may use at most; empty: as many as it asks for.")
    memory_limit: str = _described(
        "Memory beyond which the pod is killed; empty: what it asks for."
    )
    ephemeral_storage: str = _described(
        "Space on the node's disk that the pod asks for. Argo only."
    )

    @model_validator(mode="after")
    def _limits_hold_requests(self) -> Self:
        for name in type(self).model_fields.keys() & Size.model_fields.keys():
            if text := getattr(self, name):
                quantity(text)
        for asked, limit in (("cpu", "cpu_limit"), ("memory", "memory_limit")):
            low, high = getattr(self, asked), getattr(self, limit)
            if low and high and quantity(low) > quantity(high):
                raise ValueError(f"{limit} is {high}, below {asked}, which is {low}")
        return self


class StageFields(Size):
    """Settings of one stage's tasks; they replace the profile's."""

    env: dict[str, str] = _described("Environment variables.", {})
    secret_keys: tuple[str, ...] = _described("Further keys of the secret, as variables.", ())


class Toleration(_Fields):
    """A Kubernetes toleration."""

    key: str
    operator: str = "Exists"
    value: str | None = None
    effect: str = "NoSchedule"


class Volume(_Fields):
    """A volume of the cluster that tasks mount: exactly one of the four kinds."""

    name: str = _described("Name within the pod.", ...)
    mount_path: str = _described("Where it appears in the container.", ...)
    claim: str = _described("A PersistentVolumeClaim.")
    secret: str = _described("A Secret; its keys become files.")
    config_map: str = _described("A ConfigMap; its keys become files.")
    empty_dir: str = _described("An empty directory of this size on the node, such as 20Gi.")
    stages: tuple[str, ...] = _described("Stages that mount it; empty: all.", ())

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if sum(map(bool, (self.claim, self.secret, self.config_map, self.empty_dir))) != 1:
            raise ValueError("give one of claim, secret, config_map and empty_dir")
        if not self.mount_path.startswith("/"):
            raise ValueError(f"mount_path is {self.mount_path!r}; it must begin with /")
        return self


class Profile(_Fields):
    """A kind of node that tasks run on, and what else a platform sets for their pods.

    With no GPU, every stage runs as a CPU stage.
    """

    name: str = _described("Also the file's name.", ...)
    summary: str = _described("One line for people.", ...)
    gpus: Annotated[int, Field(ge=0, le=16)] = _described("GPUs of a task of a GPU stage.", 0)
    gpu_kind: str = _described(
        "What estimates compute with: l4, a100, a100-40, h100; empty: no estimate."
    )
    gpu_memory_gib: Annotated[float, Field(ge=0)] = _described(
        "Memory of one GPU, for estimates.", 0.0
    )
    gpu_resource: str = _described(
        "The resource's name; a part of a GPU (MIG) is nvidia.com/mig-3g.40gb.", "nvidia.com/gpu"
    )
    cpu: str = _described("CPUs of a GPU task; nodes give less than they have.", "4")
    memory: str = _described("Memory of a GPU task.", "16Gi")
    shm: str = _described("Size of /dev/shm of a GPU task, for vLLM and NCCL.", "8Gi")
    cpu_tasks: Size = _described("Size of all other tasks; empty: each stage's own.", Size())
    stages: dict[str, StageFields] = _described("By stage: size, variables, secret keys.", {})
    node_selector: dict[str, str] = _described("Labels of the nodes of GPU tasks.", {})
    tolerations: tuple[Toleration, ...] = _described("Taints that GPU tasks tolerate.", ())
    node_affinity: dict[str, Any] = _described("Kubernetes nodeAffinity of GPU tasks.", {})
    model_cache: str = _described(
        "PersistentVolumeClaim for downloaded models; empty: each task downloads its own."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = _described(
        "How often the engine tries a failed task again.", 2
    )
    env: dict[str, str] = _described("Environment variables of every task.", {})
    secret: str = _described("The Kubernetes Secret that holds keys.", "refine-af")
    secret_keys: tuple[str, ...] = _described("Further keys for every task but notify.", ())
    google_credentials: str = _described(
        "A Secret whose key key.json is a Google service account's; where there is no workload"
        " identity."
    )
    image_pull_secrets: tuple[str, ...] = _described("Secrets for a private registry.", ())
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = _described(
        "When an image is pulled; empty: the cluster's rule."
    )
    volumes: tuple[Volume, ...] = _described("Further volumes.", ())
    pod_labels: dict[str, str] = _described("Labels of every task's pod.", {})
    pod_annotations: dict[str, str] = _described("Annotations of every task's pod.", {})
    task_deadline_seconds: Annotated[int, Field(ge=0)] = _described(
        "After so long a try of a task is ended; 0: never.", 0
    )
    run_deadline_seconds: Annotated[int, Field(ge=0)] = _described(
        "After so long the whole run is ended; 0: never.", 0
    )
    service_account: str = _described(
        "Service account of the pods. Under KFP a run names it (submit --service-account).",
        "refine-af",
    )
    trainer_service_account: str = _described(
        "Service account of a pod that starts a TrainJob (nodes above 1). Under KFP it is the"
        " run's.",
        "refine-af-trainer",
    )
    training_runtime: str = _described(
        "ClusterTrainingRuntime of TrainJobs, with the policy torch.", "torch-distributed"
    )
    priority_class: str = _described("PriorityClass of the pods. Argo only.")
    runtime_class: str = _described("RuntimeClass of the pods. Argo only.")
    parallelism: Annotated[int, Field(ge=0)] = _described(
        "Most pods of a run at once; 0: as many as fit. Argo only.", 0
    )
    artifact_gc: Literal["Never", "OnWorkflowCompletion", "OnWorkflowDeletion"] = _described(
        "When Argo removes a run's artifacts. Argo only.", "Never"
    )
    pod_spec_patch: dict[str, Any] = _described(
        "Laid over every pod's spec, for what no field says. Argo only.", {}
    )

    @field_validator("cpu", "memory", "shm")
    @classmethod
    def _is_a_quantity(cls, text: str) -> str:
        quantity(text)
        return text

    def check_stages(self, known: list[str]) -> None:
        """Refuse a name that is not a stage.

        Raises:
            ParameterError: Naming the field and the nearest stage.
        """
        named = [("stages", name) for name in self.stages]
        named += [("volumes.stages", name) for item in self.volumes for name in item.stages]
        for where, name in named:
            if name not in known:
                raise ParameterError(
                    f"profile {self.name}: {where}: {name!r} is not a stage;{nearest(name, known)}"
                    f" stages: {', '.join(known)}"
                )


ARGO_ONLY = ("priority_class", "runtime_class", "parallelism", "artifact_gc", "pod_spec_patch")


def argo_only_fields(profile: Profile) -> list[str]:
    """Return the fields that the profile sets and that KFP has no word for."""
    fields = Profile.model_fields
    names = [name for name in ARGO_ONLY if getattr(profile, name) != fields[name].default]
    sizes = [("cpu_tasks", profile.cpu_tasks), *profile.stages.items()]
    return names + [f"{name}.ephemeral_storage" for name, size in sizes if size.ephemeral_storage]


def json_schema() -> str:
    """Return the JSON Schema of a profile's file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | Profile.model_json_schema(), indent=1) + "\n"


def profile_names() -> list[str]:
    """Return the packaged profiles, sorted."""
    return sorted(item.stem for item in PROFILE_FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Return a packaged profile by name, or one of the user's own by the path of its YAML file.

    Raises:
        ParameterError: For an unknown name or a file of another shape.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILE_FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = profile_names()
        raise ParameterError(
            f"unknown profile {name!r};{nearest(name, known)} choose from {', '.join(known)},"
            " or give the path of a YAML file"
        )
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        known = list(Profile.model_fields) if first["type"] == "extra_forbidden" else []
        hint = nearest(field, known)
        raise ParameterError(f"{path}: {field}: {first['msg']}{hint}") from None
