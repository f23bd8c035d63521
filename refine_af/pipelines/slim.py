"""Makes a compiled pipeline small: equal components once, parameter texts only where people read.

KFP stores the whole IR in every run and in annotations limited to 256 KiB; its compiler repeats a
component for each task of it and every description in two places. The texts stay in
``components/<stage>/component.yaml`` and in the pipeline's own form.
"""

import re
from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

_COLUMNS = re.compile(r" {5,}")
_SIGNS = re.compile(r"[^a-z0-9]+")
_DOCSTRING = re.compile(r'\) -> None:\n    """.*?"""\n', re.DOTALL)


def slim(spec: Spec, platform: Spec) -> None:
    """Shrink the two documents of a compiled pipeline; name its tasks by their arms."""
    for component in spec["components"].values():
        for definitions in ("inputDefinitions", "outputDefinitions"):
            for group in component.get(definitions, {}).values():
                for item in group.values():
                    item.pop("description", None)
    executors = spec["deploymentSpec"]["executors"]
    for executor in executors.values():
        if container := executor.get("container"):  # an importer has none
            container["command"] = [_short(word) for word in container["command"]]
    _merge(spec, platform)
    _prune(spec)
    for dag in _dags(spec):
        _name_tasks(spec, dag)


def _short(word: str) -> str:
    """Return a component's source without its docstring, the shell's line without its columns."""
    return _DOCSTRING.sub(") -> None:\n", _COLUMNS.sub(" ", word))


def _merge(spec: Spec, platform: Spec) -> None:
    """Let tasks with equal components and executors share them, each label named as its component.

    KFP names the executors of nested pipelines in an order that changes from process to process;
    two components may then share a label, and another executor belongs to none.
    """
    executors = spec["deploymentSpec"]["executors"]
    extra = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    platforms = extra.get("executors", {})
    first: list[tuple[Spec, Spec, Spec, str]] = []
    replaced: dict[str, str] = {}
    for name, component in spec["components"].items():
        if "executorLabel" not in component:  # the tasks before an exit task
            continue
        label = component["executorLabel"]
        rest = {key: value for key, value in component.items() if key != "executorLabel"}
        wanted = (rest, executors[label], platforms.get(label, {}))
        same = next((known for *parts, known in first if tuple(parts) == wanted), None)
        if same is None:
            first.append((*wanted, name))
        else:
            replaced[name] = same
    executors.clear()
    platforms.clear()
    for _, executor, settings, name in first:
        label = name.replace("comp-", "exec-", 1)
        spec["components"][name]["executorLabel"] = label
        executors[label] = executor
        if settings:
            platforms[label] = settings
    for name in replaced:
        del spec["components"][name]
    for dag in _dags(spec):
        for task in dag["tasks"].values():
            reference = task["componentRef"]
            reference["name"] = replaced.get(reference["name"], reference["name"])


def _prune(spec: Spec) -> None:
    """Leave out what components could take and no task gives them, such as further shards."""
    given: dict[str, set[str]] = {}
    for dag in _dags(spec):
        for task in dag["tasks"].values():
            names = given.setdefault(task["componentRef"]["name"], set())
            names.update(task.get("inputs", {}).get("artifacts", {}))
    for name, component in spec["components"].items():
        artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
        for unused in artifacts.keys() - given.get(name, set()):
            del artifacts[unused]
        if not artifacts:
            component.get("inputDefinitions", {}).pop("artifacts", None)


def _dags(spec: Spec) -> list[Spec]:
    inner = [item["dag"] for item in spec["components"].values() if "dag" in item]
    return [spec["root"]["dag"], *inner]


def _name_tasks(spec: Spec, dag: Spec) -> None:
    """Give each stage's task a key that no other level has, such as ``train-sft-rl``.

    KFP puts a task's artifacts into a folder of that name, and numbers keys within a level alone.
    """
    names = {
        key: _SIGNS.sub("-", task["taskInfo"]["name"]).strip("-")
        for key, task in dag["tasks"].items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
        and not key.startswith("importer")
    }
    dag["tasks"] = {names.get(key, key): task for key, task in dag["tasks"].items()}
    for task in dag["tasks"].values():
        if "dependentTasks" in task:
            task["dependentTasks"] = [names.get(key, key) for key in task["dependentTasks"]]
    for item in _origins(dag):
        for word in ("producerTask", "producerSubtask"):
            if word in item:
                item[word] = names.get(item[word], item[word])


def _origins(value: Any) -> Iterator[Spec]:  # noqa: ANN401  any part of the IR
    """Yield every object within a part of the IR."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _origins(item)
