"""A compiled pipeline's levels, as KFP's UI draws them."""

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def levels(spec: Object) -> dict[str, Object]:
    """Return the DAG of each level by the path of its keys; the first is the empty path."""
    return dict(_below(spec, "", spec["root"]["dag"]))


def _below(spec: Object, path: str, dag: Object) -> Iterator[tuple[str, Object]]:
    yield path, dag
    for key, task in dag["tasks"].items():
        component = component_of(spec, task)
        if "dag" in component:
            yield from _below(spec, f"{path}/{key}".lstrip("/"), component["dag"])


def component_of(spec: Object, task: Object) -> Object:
    """Return the component that a task runs."""
    found: Object = spec["components"][task["componentRef"]["name"]]
    return found


def boxes(spec: Object, dag: Object) -> int:
    """Return how many boxes the UI draws of a level: one a task and one an output artifact.

    KFP's ``frontend/src/lib/v2/StaticFlow.ts``: a node for each task, and for each artifact among
    its component's ``outputDefinitions``; inputs are edges.
    """
    outputs = (
        component_of(spec, task).get("outputDefinitions", {}) for task in dag["tasks"].values()
    )
    return len(dag["tasks"]) + sum(len(output.get("artifacts", {})) for output in outputs)


def tasks_of(spec: Object) -> dict[str, Object]:
    """Return the tasks of all levels that run a stage or an importer, by their names for people."""
    return {
        task["taskInfo"]["name"]: task
        for dag in levels(spec).values()
        for task in dag["tasks"].values()
        if "executorLabel" in component_of(spec, task)
    }
