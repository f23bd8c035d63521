"""Hands a tuned model over: files in a bucket or OCI registry, an entry in a model registry."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import parse_object, write_object
from refine_af.contracts.params import Params, param, rule
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task, task_folder
from refine_af.reporting.recorded import Recorded
from refine_af.storage import oci
from refine_af.storage.manifest import digest_directory
from refine_af.storage.model_registry import ModelRegistry, Version
from refine_af.storage.schemes import open_store

SCORES = ("rouge_l", "exact_match", "reward")
VERSION_DIGITS = 12


class RegisterModelParams(Params):
    """Where the model goes, and what it is called there."""

    arm: str = param("rl", "Arm whose model is registered.")
    model_uri: str = param(
        "",
        "Folder or URI below which NAME/VERSION is written, or oci://HOST/PATH, where NAME:VERSION"
        " is; needed.",
        method=False,
    )
    name: str = param("refine-af", "Name of the registered model, which all versions share.")
    version: str = param("", "Name of the version; empty: a digest of the model's files.")
    form: Literal["adapter", "merged"] = param(
        "adapter", "What is registered; merged needs train_sft.merge."
    )
    registry: str = param(
        "",
        "http(s) address of a Kubeflow Model Registry; empty: the files are written, no more.",
        method=False,
        names="endpoint",
    )
    author: str = param("", "Who is named as the version's author.", method=False)

    @rule("registry")
    def registry_is_an_address(self) -> str:
        """The registry speaks http or https."""
        if self.registry and not self.registry.startswith(("https://", "http://")):
            return "it must begin with https:// or http://"
        return ""

    @rule("name")
    def names_are_folders(self) -> str:
        """Name and version are names of folders."""
        words = (self.name, *([self.version] if self.version else []))
        plain = all(word and word.strip(".") and "/" not in word for word in words)
        return "" if plain else "name and version must be names of folders, without a slash"


def run(params: RegisterModelParams, task: Task) -> Metrics:
    """Write the model's folder, register it, and say where it is."""
    if not params.model_uri:
        raise ParameterError("register_model.model_uri is ''; give a folder or a URI")
    folder = task.scratch / "model"
    shutil.copytree(task.inputs[params.form], folder)
    if not list(folder.glob("*.safetensors")):
        raise DataError(
            f"register_model: the input {params.form} holds no weights; set train_sft.merge=true,"
            " or register the adapter"
        )
    version = params.version or digest_directory(folder)[:VERSION_DIGITS]
    scores = _scores(task, params.arm)
    write_object(folder / "metrics.json", scores)
    lineage = _lineage(task)
    write_object(folder / "lineage.json", lineage)
    entry: dict[str, Any] = {"name": params.name, "version": version}
    entry |= _written(params, version, folder, task.scratch)
    uri = entry["uri"]
    if params.registry:
        described = _version(params, version, uri, scores, lineage)
        entry |= {"registry": params.registry}
        entry |= asdict(ModelRegistry(params.registry).register(described))
    write_object(task.outputs["registration"], entry)
    return {"files": float(sum(path.is_file() for path in folder.rglob("*"))), **scores}


def _written(
    params: RegisterModelParams, version: str, folder: Path, scratch: Path
) -> dict[str, str]:
    """Write the folder, and return where it is; of an image also its digest."""
    root = params.model_uri.rstrip("/")
    if root.startswith(oci.SCHEME):
        labels = {"title": params.name, "version": version, "vendor": "refine-af"}
        named = {f"org.opencontainers.image.{key}": value for key, value in labels.items()}
        uri = f"{root}/{params.name}:{version}"
        return {"uri": uri, "digest": oci.push_folder(uri, folder, scratch, named)}
    uri = f"{root}/{params.name}/{version}"
    open_store(uri).publish_directory(uri, folder)
    return {"uri": uri}


def _scores(task: Task, arm: str) -> dict[str, float]:
    """Return the arm's scores, as the report found them."""
    path = task.inputs.get("result")
    arms = parse_object(path.read_bytes(), "result").get("arms", {}) if path else {}
    found = arms.get(arm, {})
    return {name: float(found[name]) for name in SCORES if name in found}


def _lineage(task: Task) -> dict[str, Any]:
    """Return parameters, inputs and code of each task that made the model."""
    recorded = Recorded([task.inputs["lineage"]] if "lineage" in task.inputs else [])
    return {name: recorded.json(name, "provenance") for name in recorded.tasks()}


def _version(
    params: RegisterModelParams,
    version: str,
    uri: str,
    scores: dict[str, float],
    lineage: dict[str, Any],
) -> Version:
    tuning = lineage.get(task_folder("train_sft", params.arm), {})
    facts = {
        "arm": params.arm,
        "base_model": str(tuning.get("params", {}).get("model", "")),
        "base_model_digest": str(tuning.get("params", {}).get("model_digest", "")),
        "code": str(tuning.get("code", "")),
        "lineage": json.dumps(tuning.get("inputs", {}), sort_keys=True),
    }
    return Version(
        model=params.name,
        name=version,
        uri=_absolute(uri),
        form="peft" if params.form == "adapter" else "transformers",
        description=f"The arm {params.arm} of a refine-af run.",
        author=params.author,
        source=f"refine-af ({params.arm})",
        properties={**{name: text for name, text in facts.items() if text}, **scores},
    )


def _absolute(uri: str) -> str:
    return uri if "://" in uri else Path(uri).absolute().as_uri()


STAGE = Stage(
    name="register_model",
    summary="Write a tuned model to a bucket or OCI registry; register it in a model registry.",
    params=RegisterModelParams,
    run=run,
    inputs=(
        Artifact("adapter", "model", "What fine-tuning made: an adapter, or the full model."),
        Artifact("merged", "model", "Base and adapter in one.", optional=True),
        Artifact("lineage", "records", "Records of the tasks that made it.", optional=True),
        Artifact("result", "json", "The report's result, for the scores.", optional=True),
    ),
    outputs=(Artifact("registration", "json", "Where it is, and its ids in the registry."),),
    image="core",
    resources=Resources(cpu="1", memory="4Gi"),
    source="project choice: what is done with the model after the run.",
    cache=False,
)
