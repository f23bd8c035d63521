"""The levels of a compiled pipeline as KFP's page draws them: a box for each task and artifact.

Rules: ``frontend/src/lib/v2/StaticFlow.ts`` of KFP: a node for each task and for each output
artifact of its component, an edge from a task to its artifacts, from an artifact to the tasks that
read it, and from a task to those that wait for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Object = dict[str, Any]

MOST_BOXES = 32
"""Boxes of a level that can still be read on one screen."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the graph.

    Attributes:
        key: Unique in its level.
        label: What the page shows.
        kind: ``dag`` opens the level below it.
    """

    key: str
    label: str
    kind: Literal["task", "dag", "artifact"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level.

    Attributes:
        path: Names of the boxes that are opened to see it, from the first level on.
        boxes: In the order of the compiled file.
        edges: Pairs of keys, each once.
    """

    path: tuple[str, ...]
    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]


def levels(spec: Object) -> Iterator[Level]:
    """Yield the first level, and each level below after the one that its box is on."""
    yield from _below(spec, (), spec["root"]["dag"])


def _below(spec: Object, path: tuple[str, ...], dag: Object) -> Iterator[Level]:
    components = {
        key: spec["components"][task["componentRef"]["name"]] for key, task in dag["tasks"].items()
    }
    boxes: list[Box] = []
    edges: list[tuple[str, str]] = []
    for key, task in dag["tasks"].items():
        boxes.append(_task(key, task, components[key]))
        outputs = components[key].get("outputDefinitions", {}).get("artifacts", {})
        boxes += [Box(f"{key}.{name}", name, "artifact") for name in outputs]
        edges += [(key, f"{key}.{name}") for name in outputs]
        edges += _read(key, task)
    yield Level(path, tuple(boxes), tuple(dict.fromkeys(edges)))
    for key, task in dag["tasks"].items():
        if "dag" in components[key]:
            yield from _below(spec, (*path, task["taskInfo"]["name"]), components[key]["dag"])


def _task(key: str, task: Object, component: Object) -> Box:
    name = task["taskInfo"]["name"]
    return Box(key, f"DAG: {name}", "dag") if "dag" in component else Box(key, name, "task")


def _read(key: str, task: Object) -> Iterator[tuple[str, str]]:
    """Yield the edges that end at a task."""
    inputs = task.get("inputs", {})
    for source in inputs.get("artifacts", {}).values():
        if origin := source.get("taskOutputArtifact"):
            yield f"{origin['producerTask']}.{origin['outputArtifactKey']}", key
    for source in inputs.get("parameters", {}).values():
        if origin := source.get("taskOutputParameter"):
            yield origin["producerTask"], key
    for before in task.get("dependentTasks", []):
        yield before, key
