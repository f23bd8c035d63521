"""Compiles a configuration and a profile to KFP IR YAML."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.dsl import base_component

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.stage import Stage
from refine_af.contracts.yaml_text import yaml_text
from refine_af.pipelines.build import build
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.earlier import select
from refine_af.pipelines.estimate import refuse_misfit, unchecked_lines
from refine_af.pipelines.flow import Images
from refine_af.pipelines.form import DESCRIPTIONS
from refine_af.pipelines.slim import slim
from refine_af.pipelines.tasks import planned
from refine_af.processes.params import ProcessesParams
from refine_af.stages import STAGES
from refine_af.stages.seed_ingest import SeedParams
from refine_af.targets.argo import content_digest
from refine_af.targets.profile import Profile, StageFields, load_profile

Document = dict[str, Any]

KFP_API = "pipelines.kubeflow.org/v2beta1"


@dataclass(frozen=True)
class Compiled:
    """A pipeline in KFP's IR, for KFP and Argo.

    Attributes:
        spec: First document of the IR: the pipeline.
        platform: Second document: what Kubernetes adds to its tasks; may be empty.
        profile: The hardware profile that placed the tasks.
        images: The images that the tasks run in.
        nodes: By stage, of those that train on several.
        unchecked: Lines that say of what the memory was not checked.
    """

    spec: Document
    platform: Document
    profile: Profile
    images: Images
    nodes: Mapping[str, int]
    unchecked: tuple[str, ...] = ()

    def stages(self) -> list[Stage]:
        """Return the stages that the pipeline uses, in the order of the registry."""
        executors = self.spec["deploymentSpec"]["executors"].values()
        used = {word for item in executors for word in item.get("container", {}).get("args", ())}
        return [stage for stage in STAGES if stage.name in used]

    def write_ir(self, target: Path) -> None:
        """Write the IR YAML."""
        _write(target, [self.spec, self.platform] if self.platform else [self.spec])

    def write_manifest(self, target: Path, name: str) -> None:
        """Write ``Pipeline`` and ``PipelineVersion`` objects, for GitOps with KFP.

        A changed pipeline is another version; an unchanged one is the same object.
        """
        about = {"description": self.spec["pipelineInfo"]["description"]}
        # KFP refuses to change a version: its name follows its content
        content = content_digest({"spec": self.spec, "platform": self.platform})
        version: Document = {
            "displayName": f"{name} {self.images.tag} {content}",
            "pipelineName": name,
            "pipelineSpec": self.spec,
            **about,
        }
        if self.platform:
            version["platformSpec"] = self.platform
        objects = (
            ("Pipeline", name, {"displayName": name, **about}),
            ("PipelineVersion", f"{name}-{content}", version),
        )
        _write(
            target,
            [
                {"apiVersion": KFP_API, "kind": kind, "metadata": {"name": label}, "spec": spec}
                for kind, label, spec in objects
            ],
        )


def _write(target: Path, documents: list[Document]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml_text(*documents, compact=True, sort=True), encoding="utf-8")


def compile_request(
    config: RunConfig,
    profile: str,
    images: Images,
    artifacts: str = "",
    only: str = "",
    since: str = "",
    *,
    notify: bool = False,
    preset: str = "",
    ui_host: str = "",
) -> Compiled:
    """Compile a pipeline, or the part of it that ``only`` or ``since`` names.

    Args:
        config: Preset, file and ``--set`` together.
        profile: Name or file of the hardware profile.
        images: Registry, tag and digests.
        artifacts: Where an earlier run's artifacts are; see ``earlier.select``.
        only: The one task to run on them; or empty.
        since: The first task to run on them; or empty.
        notify: Whether an exit task tells an address how the run ended.
        preset: Name of the configuration in the exit task's message.
        ui_host: Address of the engine's user interface, for the link that it sends.
    """
    hardware = _hardware(profile, config)
    _refuse_model_in_core_image(config)
    selection = None
    if artifacts:
        selection = select(artifacts, planned(config), only, since)
    refuse_misfit(config, hardware, selection.only if selection else None)
    notice = {"pipeline": config.pipeline, "preset": preset, "ui_host": ui_host}
    pipeline = build(config, hardware, images, selection, notice=notice if notify else None)
    nodes = {
        task.stage.name: task.params.nodes
        for task in planned(config)
        if isinstance(task.params, ProcessesParams) and task.params.nodes > 1
    }
    unchecked = tuple(unchecked_lines(config, hardware))
    return replace(_compiled(pipeline, hardware, images, nodes), unchecked=unchecked)


def _refuse_model_in_core_image(config: RunConfig) -> None:
    """Refuse an engine whose library the image of its stage does not hold.

    Raises:
        ParameterError: ``seed_ingest`` asks a model that it would have to load.
    """
    for task in planned(config):
        params = task.params
        if not isinstance(params, SeedParams) or not params.asks:
            continue
        if params.engine in ("transformers", "vllm"):
            raise ParameterError(
                "seed_ingest.classification is 'ask', and the stage's image on a cluster loads no"
                f" model (engine {params.engine}): set seed_ingest.engine=openai with"
                " seed_ingest.base_url and seed_ingest.model, or ask here first (refine-af"
                " seed-ingest --classification ask) and give what it writes as seeds_uri"
            )


def _hardware(name: str, config: RunConfig) -> Profile:
    """Return a profile with the keys that the configuration's endpoints need."""
    profile = load_profile(name)
    profile.check_stages([stage.name for stage in STAGES])
    stages = dict(profile.stages)
    for stage, values in config.stages.items():
        if key := values.get("api_key_variable"):
            own = stages.get(stage, StageFields())
            stages[stage] = own.model_copy(update={"secret_keys": (*own.secret_keys, str(key))})
    return profile.model_copy(update={"stages": stages})


def _compiled(
    pipeline: base_component.BaseComponent,
    profile: Profile,
    images: Images,
    nodes: Mapping[str, int],
) -> Compiled:
    """Return the IR of a pipeline, made small."""
    logging.getLogger("kfp").setLevel(logging.ERROR)
    spec, extra = (
        json.loads(json_format.MessageToJson(message, sort_keys=True))
        for message in (pipeline.pipeline_spec, pipeline.platform_spec)
    )
    slim(spec, extra)
    for name, item in spec["root"]["inputDefinitions"]["parameters"].items():
        item["description"] = DESCRIPTIONS[name]  # shown in the form of the KFP UI
    return Compiled(spec, extra, profile, images, nodes)


def read_digests(path: str) -> dict[str, str]:
    """Return image digests by stage from a JSON file."""
    try:
        digests = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"--images {path}: cannot be read as JSON ({error})") from None
    known = {stage.name for stage in STAGES}
    for name, digest in digests.items():
        if name not in known or not str(digest).startswith("sha256:"):
            raise ParameterError(
                f"--images {path}: {name!r}: {digest!r}; write a stage's name and sha256:..."
            )
    return {str(name): str(digest) for name, digest in digests.items()}
