"""The Argo template of a stage: one ``WorkflowTemplate`` that any Argo DAG can refer to.

Artifacts are key-only: Argo keeps the key and takes type, bucket and credentials from the
namespace's artifact repository, so the same file works on S3, MinIO and Cloud Storage.
"""

import hashlib
import json

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.params import words
from refine_af.contracts.stage import RECORDS, Artifact, Stage
from refine_af.targets.argo_pod import FOLDER, IMAGE, Object, container, pod
from refine_af.targets.kfp_source import image_name
from refine_af.targets.placement import place
from refine_af.targets.profile import Profile
from refine_af.targets.train_job import launcher

API = "argoproj.io/v1alpha1"
RUN_FOLDER = "refine-af/{{workflow.name}}"
"""Key of a run's artifacts in the bucket of the artifact repository."""

NEVER_RETRIED = (ParameterError.exit_code, DataError.exit_code)


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


def stage_template(stage: Stage, profile: Profile, tag: str, nodes: int = 1) -> Object:
    """Return the ``WorkflowTemplate`` of a stage; its one template is named like the command.

    Its own name ends with a digest of its content: another version of the project, or another
    profile, never replaces a template that a running workflow still refers to.

    Args:
        stage: What it runs.
        profile: Where.
        tag: Of the image, unless another is given.
        nodes: Above 1 the pod starts a TrainJob.
    """
    several = nodes > 1
    placement = launcher(stage, profile, IMAGE) if several else place(stage, profile)
    template = {
        "name": stage.command,
        "inputs": {
            "parameters": _parameters(stage, tag),
            "artifacts": [_input(item) for item in stage.taken],
        },
        "outputs": _outputs(stage),
        "retryStrategy": _retries(profile),
        **pod(placement, profile),
        "container": container(placement, profile)
        | {"command": ["refine-af", stage.command], "args": _arguments(stage)},
    }
    name = f"refine-af-{stage.command}-{content_digest(template)}"
    return {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": metadata(name, stage.command, stage.summary),
        "spec": {"templates": [template]},
    }


def content_digest(value: Object) -> str:
    """Return a short digest of an object, for names that change when it does."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:10]


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
    artifact: Object = {"name": item.name, "path": f"{FOLDER}/inputs/{item.name}"}
    return artifact | ({"optional": True} if item.optional else {})


def _outputs(stage: Stage) -> Object:
    values = [
        {"name": item.name, "valueFrom": {"path": f"{FOLDER}/outputs/{item.name}"}}
        for item in stage.written
        if item.kind == "parameter"
    ]
    artifacts = [
        {
            "name": item.name,
            "path": f"{FOLDER}/outputs/{item.name}",
            "archive": {"none": {}},  # rows stay readable in the bucket
            "s3": {"key": f"{RUN_FOLDER}/{{{{inputs.parameters.task}}}}/{item.name}"},
        }
        for item in stage.written
        if item.kind != "parameter"
    ]
    return {"artifacts": artifacts} | ({"parameters": values} if values else {})


def _retries(profile: Profile) -> Object:
    """Return the retry strategy: everything but mistakes, which a retry repeats.

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


def _arguments(stage: Stage) -> list[str]:
    names = ["work_dir", "label", *stage.params.model_fields]
    given = [f"--{name.replace('_', '-')}={{{{inputs.parameters.{name}}}}}" for name in names]
    records = [f"--{RECORDS.name}={FOLDER}/outputs/{RECORDS.name}"] if stage.records else []
    return [f"--inputs-dir={FOLDER}/inputs", f"--outputs-dir={FOLDER}/outputs", *records, *given]
