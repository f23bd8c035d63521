"""The parameters that a run hands to each task, written into ``run.json`` for later comparison."""

from typing import Any

from refine_af.pipelines.build import build
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.local import task_names
from refine_af.targets.profile import load_profile


def planned_values(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return ``{task: {parameter: value}}`` of every value that is known before the run."""
    pipeline = build(config, load_profile("local"))
    root = pipeline.pipeline_spec.root
    given = {
        name: _value(item.default_value) for name, item in root.input_definitions.parameters.items()
    }
    return {
        title: _known(root.dag.tasks[key].inputs.parameters, given)
        for key, title in task_names(pipeline).items()
        if key in root.dag.tasks
    }


def _known(parameters: Any, given: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  of kfp
    values = {}
    for name, item in parameters.items():
        kind = item.WhichOneof("kind")
        if kind == "runtime_value":
            values[name] = _value(item.runtime_value.constant)
        elif kind == "component_input_parameter":
            values[name] = given.get(item.component_input_parameter)
    return values


def _value(value: Any) -> Any:  # noqa: ANN401  a protobuf Value
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind in ("number_value", "string_value", "bool_value") else None
