"""Translates the compiled KFP pipeline to plain Argo: the same DAG, without KFP.

The DAG is read out of KFP's IR, so that it is written once; a group of tasks there is a template of
type ``dag`` here. What Argo cannot say the same way (loops, conditions) is refused by name.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import scalar_type, words
from refine_af.contracts.stage import FINAL_STATUS, Stage
from refine_af.contracts.yaml_text import yaml_text
from refine_af.pipelines.compiling import Compiled
from refine_af.pipelines.flow import Images
from refine_af.pipelines.form import DESCRIPTIONS
from refine_af.pipelines.local import artifact_folder
from refine_af.runner import find_stage
from refine_af.storage.location import locate
from refine_af.targets.argo import API, RUN_FOLDER, metadata, stage_template
from refine_af.targets.argo_pod import Object
from refine_af.targets.profile import Profile

NOTIFY = find_stage("notify")
ENTRY = "pipeline"
NAMED_WHEN_COMPILED = ("pipeline", "preset", "ui_host")
WEEK_SECONDS = 7 * 24 * 3600

REGISTRY = "Registry of the images, without a slash at its end: the one value a cluster needs."


def write_argo(made: Compiled, folder: Path, name: str) -> None:
    """Write ``templates.yaml`` (to apply once) and ``workflow.yaml`` (to submit per run)."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{name}-{made.profile.name}" if made.profile.gpus else name
    _write(folder / "templates.yaml", [*templates_of(made).values(), dag_template(made, name)])
    _write(folder / "workflow.yaml", [workflow(name)])


def _write(path: Path, documents: list[Object]) -> None:
    head = "# Written from the pipeline's KFP definition by refine-af compile --to argo.\n"
    path.write_text(head + yaml_text(*documents), encoding="utf-8")


def workflow(name: str) -> Object:
    """Return the ``Workflow`` that runs a DAG once; parameters are given when it is submitted."""
    return {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {"generateName": f"{name}-"},
        "spec": {"workflowTemplateRef": {"name": name}},
    }


def templates_of(made: Compiled) -> dict[str, Object]:
    """Return the ``WorkflowTemplate`` of each stage that a compiled pipeline uses, by its name."""
    stages = stages_of(made.spec) + ([NOTIFY] if has_exit_task(made.spec) else [])
    return {
        stage.name: stage_template(
            stage, made.profile, made.images.tag, made.nodes.get(stage.name, 1)
        )
        for stage in stages
    }


def _reference(stage: Stage, templates: dict[str, Object]) -> Object:
    return {"name": templates[stage.name]["metadata"]["name"], "template": stage.command}


def stages_of(spec: Object) -> list[Stage]:
    """Return the stages that a compiled pipeline uses besides its exit task, in the DAG's order."""
    names: dict[str, None] = {}
    for level in _levels(_first_level(spec)):
        names |= {_stage(level, task).name: None for task in level.stages().values()}
    return [find_stage(name) for name in names]


def dag_template(made: Compiled, name: str) -> Object:
    """Return the ``WorkflowTemplate`` of the DAG.

    Args:
        made: A compiled pipeline; its images' registry is the default of the parameter
            ``registry``, its profile decides which stage templates are referred to.
        name: What the template is called.

    Raises:
        ParameterError: For a construct that cannot be translated; names it and the task.
    """
    templates = templates_of(made)
    hooks = {"hooks": {"exit": _exit_hook(made, templates)}} if has_exit_task(made.spec) else {}
    spec = made.spec
    levels = _levels(_first_level(spec))
    return {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": metadata(name, "pipeline", spec["pipelineInfo"].get("description", "")),
        "spec": {
            "entrypoint": ENTRY,
            **_pods(made.profile),
            "arguments": {"parameters": _arguments(spec, made.images)},
            "templates": [_level_template(made, level, templates) for level in levels],
            **hooks,
            "ttlStrategy": {
                "secondsAfterSuccess": WEEK_SECONDS,
                "secondsAfterFailure": 2 * WEEK_SECONDS,
            },
            "podGC": {"strategy": "OnPodSuccess", "deleteDelayDuration": "60s"},
            # Never: the artifacts are the result of the run and outlive the Workflow object.
            "artifactGC": {"strategy": made.profile.artifact_gc},
        },
    }


def _pods(profile: Profile) -> Object:
    """Return what holds for all pods of a run.

    A stage's container gets no token of the cluster; Argo's executor, which reports outputs, mounts
    that of the service account from the secret ``<service account>.service-account-token``.
    """
    fields: Object = {
        "serviceAccountName": profile.service_account,
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": profile.service_account},
    }
    if profile.image_pull_secrets:
        fields["imagePullSecrets"] = [{"name": name} for name in profile.image_pull_secrets]
    if profile.parallelism:
        fields["parallelism"] = profile.parallelism
    if profile.run_deadline_seconds:
        fields["activeDeadlineSeconds"] = profile.run_deadline_seconds
    return fields


def has_exit_task(spec: Object) -> bool:
    """Return whether a compiled pipeline has an exit task, which runs however the others ended."""
    return bool(_exit_tasks(spec))


def _exit_tasks(spec: Object) -> dict[str, Object]:
    """Return the tasks that KFP runs when the others have ended."""
    return {
        key: task
        for key, task in spec["root"]["dag"]["tasks"].items()
        if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
    }


@dataclass(frozen=True)
class _Level:
    """A DAG of the pipeline: its first level, or a group of tasks that KFP draws as one box.

    Attributes:
        spec: The compiled pipeline.
        component: What has the DAG, its inputs and its outputs.
        path: Keys of the groups that it lies in.
    """

    spec: Object
    component: Object
    path: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of the level's template."""
        return "-".join(self.path) or ENTRY

    @property
    def every(self) -> dict[str, Object]:
        """Return the tasks, groups and importers by key."""
        tasks: dict[str, Object] = self.component["dag"]["tasks"]
        return tasks

    def boxes(self) -> dict[str, Object]:
        """Return tasks and groups, each after those that it depends on.

        Importers are no tasks in Argo: their artifacts are named where they are used.
        """
        waiting = {k: task for k, task in self.every.items() if _imported(self.spec, task) is None}
        ordered: dict[str, Object] = {}
        while waiting:
            for key in list(waiting):
                if not set(waiting[key].get("dependentTasks", [])) & set(waiting):
                    ordered[key] = waiting.pop(key)
        return ordered

    def group(self, key: str) -> "_Level | None":
        """Return the level below a box; None for a task."""
        component = self.spec["components"][self.every[key]["componentRef"]["name"]]
        return _Level(self.spec, component, (*self.path, key)) if "dag" in component else None

    def stages(self) -> dict[str, Object]:
        """Return the tasks that are no groups."""
        return {key: task for key, task in self.boxes().items() if self.group(key) is None}

    def names(self) -> dict[str, str]:
        """Return Argo's name of each box by its key in KFP."""
        return {
            key: key if self.group(key) else task_name(task) for key, task in self.boxes().items()
        }


def _first_level(spec: Object) -> _Level:
    """Return the level that has no exit task, beside which KFP puts all others one level down."""
    ends = _exit_tasks(spec)
    if not ends:
        return _Level(spec, spec["root"])
    (outer,) = (task for key, task in spec["root"]["dag"]["tasks"].items() if key not in ends)
    inner = spec["components"][outer["componentRef"]["name"]]["dag"]
    text = json.dumps(inner).replace('"componentInputParameter": "pipelinechannel--', _OWN)
    return _Level(spec, {"dag": json.loads(text)})


def _levels(level: _Level) -> list[_Level]:
    """Return a level and all below it."""
    groups = (level.group(key) for key in level.boxes())
    return [level, *(one for group in groups if group for one in _levels(group))]


_OWN = '"componentInputParameter": "'


def _exit_hook(made: Compiled, templates: dict[str, Object]) -> Object:
    (exit_task,) = _exit_tasks(made.spec).values()
    constants = exit_task["inputs"]["parameters"]
    given = {
        "image": _image(NOTIFY, made.images),
        "task": NOTIFY.name,
        **{key: constants[key]["runtimeValue"]["constant"] for key in NAMED_WHEN_COMPILED},
        "run": "{{workflow.name}}",
        "run_id": "{{workflow.uid}}",
        "namespace": "{{workflow.namespace}}",
        "failures": "{{workflow.failures}}",
        FINAL_STATUS: "{{workflow.status}}",
    }
    # a run that failed has no result: Argo leaves an optional artifact out that it does not find
    result = {"name": "result", "optional": True, **_by_key(f"{RUN_FOLDER}/report/result")}
    return {
        "templateRef": _reference(NOTIFY, templates),
        "arguments": {
            "parameters": [{"name": k, "value": v} for k, v in given.items()],
            "artifacts": [result],
        },
    }


def _by_key(key: str) -> Object:
    """Return an artifact of the artifact repository that no task of this run makes."""
    return {"s3": {"key": key}, "archive": {"none": {}}}


def task_name(task: Object) -> str:
    """Return Argo's name of a task, such as ``train-sft-rl`` for ``train_sft (rl)``."""
    return artifact_folder(task["taskInfo"]["name"]).replace("_", "-")


def _executor(spec: Object, task: Object) -> Object:
    """Return what runs a task; empty for a nested pipeline."""
    label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
    executor: Object = spec["deploymentSpec"]["executors"][label] if label else {}
    return executor


def _imported(spec: Object, task: Object) -> str | None:
    """Return the URI that an importer stands for; None for other tasks."""
    source = _executor(spec, task).get("importer", {}).get("artifactUri", {})
    return str(source["constant"]) if "constant" in source else None


def _stage(level: _Level, task: Object) -> Stage:
    """Return the stage that a task runs.

    Raises:
        ParameterError: When the task is not one stage run once.
    """
    _refuse_constructs(task)
    arguments = _executor(level.spec, task).get("container", {}).get("args", [])
    if "--function_to_execute" not in arguments:
        shown = task["taskInfo"]["name"]
        raise ParameterError(f"task {shown}: not a stage (an importer?); read data by a stage")
    return find_stage(arguments[arguments.index("--function_to_execute") + 1])


def _refuse_constructs(task: Object) -> None:
    shown = task["taskInfo"]["name"]
    for construct in ("parameterIterator", "artifactIterator", "iteratorPolicy"):
        if construct in task:
            raise ParameterError(f"task {shown}: a loop cannot be translated to Argo; unroll it")
    if "condition" in task.get("triggerPolicy", {}):
        raise ParameterError(f"task {shown}: a condition cannot be translated to Argo; remove it")


def _arguments(spec: Object, images: Images) -> list[Object]:
    registry: Object = {"name": "registry", "description": REGISTRY}
    rows = [registry | ({"value": images.registry} if images.registry else {})]
    form = spec["root"]["inputDefinitions"]["parameters"]
    for name, text in DESCRIPTIONS.items():
        if name not in form:
            continue
        value = form[name].get("defaultValue", "")
        whole = form[name]["parameterType"] == "NUMBER_INTEGER"
        shown = words(int(value) if whole else value)
        rows.append({"name": name, "value": shown, "description": text})
    return rows


def _level_template(made: Compiled, level: _Level, templates: dict[str, Object]) -> Object:
    """Return the template of a level, with what a group takes and gives."""
    tasks = [_task(made, level, key, task, templates) for key, task in level.boxes().items()]
    template: Object = {"name": level.name, "dag": {"tasks": tasks}}
    if not level.path:
        return template
    inputs = level.component.get("inputDefinitions", {})
    template["inputs"] = {
        kind: [{"name": name} for name in sorted(inputs.get(kind, {}))]
        for kind in ("parameters", "artifacts")
    }
    return template | {"outputs": _group_outputs(level)}


def _group_outputs(level: _Level) -> Object:
    outputs = level.component["dag"].get("outputs", {})
    names = level.names()
    values = []
    for name, source in sorted(outputs.get("parameters", {}).items()):
        origin = source["valueFromParameter"]
        task, key = names[origin["producerSubtask"]], origin["outputParameterKey"]
        place = f"{{{{tasks.{task}.outputs.parameters.{key}}}}}"
        values.append({"name": name, "valueFrom": {"parameter": place}})
    artifacts = []
    for name, source in sorted(outputs.get("artifacts", {}).items()):
        (origin,) = source["artifactSelectors"]
        task, key = names[origin["producerSubtask"]], origin["outputArtifactKey"]
        artifacts.append({"name": name, "from": f"{{{{tasks.{task}.outputs.artifacts.{key}}}}}"})
    return {"parameters": values, "artifacts": artifacts}


def _task(
    made: Compiled, level: _Level, key: str, task: Object, templates: dict[str, Object]
) -> Object:
    group = level.group(key)
    names = level.names()
    inputs = task.get("inputs", {})
    given = sorted(inputs.get("parameters", {}).items())
    if group:
        _refuse_constructs(task)
        runs: Object = {"template": group.name}
        values = {name: _value(None, name, source, level) for name, source in given}
    else:
        stage = _stage(level, task)
        runs = {"templateRef": _reference(stage, templates)}
        values = {
            "image": _image(stage, made.images),
            "task": artifact_folder(task["taskInfo"]["name"]),
            **{name: _value(stage, name, source, level) for name, source in given},
        }
    arguments: Object = {"parameters": [{"name": k, "value": v} for k, v in values.items()]}
    artifacts = [
        {"name": name, **_artifact(level, source, key)}
        for name, source in sorted(inputs.get("artifacts", {}).items())
    ]
    if artifacts:
        arguments["artifacts"] = artifacts
    row: Object = {"name": names[key], **runs, "arguments": arguments}
    before = [names[other] for other in task.get("dependentTasks", []) if other in names]
    return row | ({"depends": " && ".join(sorted(before))} if before else {})


def _image(stage: Stage, images: Images) -> str:
    plain = Images("", images.tag, images.digests).reference(stage)
    return "{{workflow.parameters.registry}}/" + plain


def _value(stage: Stage | None, name: str, source: Object, level: _Level) -> str:
    """Return a parameter's value or where Argo finds it; KFP keeps every number as a double."""
    if "componentInputParameter" in source:
        scope = "inputs" if level.path else "workflow"
        return f"{{{{{scope}.parameters.{source['componentInputParameter']}}}}}"
    if "taskOutputParameter" in source:
        origin = source["taskOutputParameter"]
        task, output = level.names()[origin["producerTask"]], origin["outputParameterKey"]
        return f"{{{{tasks.{task}.outputs.parameters.{output}}}}}"
    if "constant" not in source.get("runtimeValue", {}):
        raise ParameterError(f"{name}: {list(source)} cannot be translated to Argo")
    constant: Any = source["runtimeValue"]["constant"]
    field = stage.params.model_fields.get(name) if stage else None
    return words(scalar_type(field.annotation)(constant) if field else constant)


def _artifact(level: _Level, source: Object, task: str) -> Object:
    """Return where Argo finds an input: an earlier task's output, or a key of an earlier run."""
    if "componentInputArtifact" in source:
        return {"from": f"{{{{inputs.artifacts.{source['componentInputArtifact']}}}}}"}
    if "taskOutputArtifact" not in source:
        raise ParameterError(f"task {task}: artifact from {list(source)} cannot be translated")
    origin = source["taskOutputArtifact"]
    uri = _imported(level.spec, level.every[origin["producerTask"]])
    if uri is None:
        producer, output = level.names()[origin["producerTask"]], origin["outputArtifactKey"]
        return {"from": f"{{{{tasks.{producer}.outputs.artifacts.{output}}}}}"}
    location = locate(uri)
    if not location.bucket:
        raise ParameterError(f"{uri}: Argo reads earlier artifacts from its bucket; give a URI")
    return _by_key(location.key)
