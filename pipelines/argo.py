"""From the compiled KFP pipeline to plain Argo: the same DAG, which needs Argo alone.

The DAG is read out of KFP's IR, so that it is written once. What Argo cannot say the same way
(loops, conditions, importers, nested pipelines) is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.compiling import compiled
from pipelines.config import PIPELINE_PARAMETERS, RunConfig
from pipelines.flow import Images
from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import scalar_type
from refine_af.contracts.stage import Stage
from refine_af.runner import find_stage
from refine_af.targets.argo import API, Object, metadata, stage_template, template_name, words
from refine_af.targets.placement import Profile, load_profile

WEEK_SECONDS = 7 * 24 * 3600

REGISTRY = "Registry of the images, without a slash at its end: the one value a cluster needs."


def write_argo(config: RunConfig, profile: str, folder: Path, name: str, images: Images) -> None:
    """Write ``templates.yaml`` (to apply once) and ``workflow.yaml`` (to submit per run)."""
    place = load_profile(profile)
    spec, _ = compiled(config, place, images)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{name}-{place.name}" if place.gpus else name
    stages = stages_of(spec)
    templates = [stage_template(stage, place, images.tag) for stage in stages]
    templates.append(dag_template(spec, name, place, images))
    _write(folder / "templates.yaml", templates)
    _write(folder / "workflow.yaml", [workflow(name)])


def _write(path: Path, documents: list[Object]) -> None:
    with path.open("w", encoding="utf-8") as sink:
        sink.write("# Written from the pipeline's KFP definition by refine-af compile --to argo.\n")
        yaml.safe_dump_all(documents, sink, sort_keys=False, width=4000)


def workflow(name: str) -> Object:
    """Return the ``Workflow`` that runs a DAG once; parameters are given when it is submitted."""
    return {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {"generateName": f"{name}-"},
        "spec": {"workflowTemplateRef": {"name": name}},
    }


def stages_of(spec: Object) -> list[Stage]:
    """Return the stages that a compiled pipeline uses, in the order of its tasks."""
    found = {_stage(spec, task).name: None for task in _tasks(spec).values()}
    return [find_stage(name) for name in found]


def dag_template(spec: Object, name: str, profile: Profile, images: Images) -> Object:
    """Return the ``WorkflowTemplate`` of the DAG.

    Args:
        spec: A compiled pipeline (first document of the IR).
        name: What the template is called.
        profile: The hardware profile; decides which stage templates are referred to.
        images: Registry (the default of the parameter ``registry``), tag and digests.

    Raises:
        ParameterError: For a construct that cannot be translated; names it and the task.
    """
    tasks = _tasks(spec)
    names = {key: task_name(task["taskInfo"]["name"]) for key, task in tasks.items()}
    dag = [_task(spec, key, task, names, profile, images) for key, task in tasks.items()]
    return {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": metadata(name, "pipeline", spec["pipelineInfo"].get("description", "")),
        "spec": {
            "entrypoint": "pipeline",
            "serviceAccountName": "refine-af",
            "arguments": {"parameters": _arguments(spec, images)},
            "templates": [{"name": "pipeline", "dag": {"tasks": dag}}],
            "ttlStrategy": {
                "secondsAfterSuccess": WEEK_SECONDS,
                "secondsAfterFailure": 2 * WEEK_SECONDS,
            },
            "podGC": {"strategy": "OnPodSuccess", "deleteDelayDuration": "60s"},
            # The artifacts are what the run was for: they outlive the Workflow object.
            "artifactGC": {"strategy": "Never"},
        },
    }


def task_name(shown: str) -> str:
    """Return ``evaluate-rl`` for ``evaluate (rl)``: also the folder of the task's artifacts."""
    return shown.replace(" (", "-").replace(")", "").replace(" ", "-").replace("_", "-")


def _tasks(spec: Object) -> dict[str, Object]:
    """Return the tasks of a compiled pipeline, each after those that it depends on."""
    waiting: dict[str, Object] = dict(spec["root"]["dag"]["tasks"])
    ordered: dict[str, Object] = {}
    while waiting:
        for key in list(waiting):
            if not set(waiting[key].get("dependentTasks", [])) & set(waiting):
                ordered[key] = waiting.pop(key)
    return ordered


def _stage(spec: Object, task: Object) -> Stage:
    """Return the stage that a task runs.

    Raises:
        ParameterError: When the task is not one stage run once.
    """
    shown = task["taskInfo"]["name"]
    for construct in ("parameterIterator", "artifactIterator", "iteratorPolicy"):
        if construct in task:
            raise ParameterError(f"task {shown}: a loop cannot be translated to Argo; unroll it")
    if "condition" in task.get("triggerPolicy", {}):
        raise ParameterError(f"task {shown}: a condition cannot be translated to Argo; remove it")
    component = spec["components"][task["componentRef"]["name"]]
    if "executorLabel" not in component:
        raise ParameterError(f"task {shown}: a nested pipeline cannot be translated; write it flat")
    executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
    arguments = executor.get("container", {}).get("args", [])
    if "--function_to_execute" not in arguments:
        raise ParameterError(f"task {shown}: not a stage (an importer?); read data by a stage")
    return find_stage(arguments[arguments.index("--function_to_execute") + 1])


def _arguments(spec: Object, images: Images) -> list[Object]:
    registry: Object = {"name": "registry", "description": REGISTRY}
    rows = [registry | ({"value": images.registry} if images.registry else {})]
    form = spec["root"]["inputDefinitions"]["parameters"]
    for name, text in PIPELINE_PARAMETERS.items():
        if name not in form:
            continue
        value = form[name].get("defaultValue", "")
        whole = form[name]["parameterType"] == "NUMBER_INTEGER"
        shown = words(int(value) if whole else value)
        rows.append({"name": name, "value": shown, "description": text})
    return rows


def _task(
    spec: Object,
    key: str,
    task: Object,
    names: Mapping[str, str],
    profile: Profile,
    images: Images,
) -> Object:
    stage = _stage(spec, task)
    inputs = task.get("inputs", {})
    values = {
        "image": _image(stage, images),
        "task": names[key],
        **{
            name: _value(stage, name, source, names)
            for name, source in sorted(inputs.get("parameters", {}).items())
        },
    }
    arguments: Object = {"parameters": [{"name": k, "value": v} for k, v in values.items()]}
    artifacts = [
        {"name": name, "from": _artifact(source, names, names[key])}
        for name, source in sorted(inputs.get("artifacts", {}).items())
    ]
    if artifacts:
        arguments["artifacts"] = artifacts
    row: Object = {
        "name": names[key],
        "templateRef": {"name": template_name(stage, profile), "template": stage.command},
        "arguments": arguments,
    }
    before = sorted(names[other] for other in task.get("dependentTasks", []))
    return row | ({"depends": " && ".join(before)} if before else {})


def _image(stage: Stage, images: Images) -> str:
    plain = Images("", images.tag, images.digests).reference(stage)
    return "{{workflow.parameters.registry}}/" + plain


def _value(stage: Stage, name: str, source: Object, names: Mapping[str, str]) -> str:
    """Return a parameter's value or where Argo finds it; KFP keeps every number as a double."""
    if "componentInputParameter" in source:
        return f"{{{{workflow.parameters.{source['componentInputParameter']}}}}}"
    if "taskOutputParameter" in source:
        origin = source["taskOutputParameter"]
        task, output = names[origin["producerTask"]], origin["outputParameterKey"]
        return f"{{{{tasks.{task}.outputs.parameters.{output}}}}}"
    if "constant" not in source.get("runtimeValue", {}):
        raise ParameterError(f"{stage.name}.{name}: {list(source)} cannot be translated to Argo")
    constant: Any = source["runtimeValue"]["constant"]
    field = stage.params.model_fields.get(name)
    return words(scalar_type(field.annotation)(constant) if field else constant)


def _artifact(source: Object, names: Mapping[str, str], task: str) -> str:
    if "taskOutputArtifact" not in source:
        raise ParameterError(f"task {task}: artifact from {list(source)} cannot be translated")
    origin = source["taskOutputArtifact"]
    return (
        f"{{{{tasks.{names[origin['producerTask']]}.outputs.artifacts."
        f"{origin['outputArtifactKey']}}}}}"
    )
