"""Makes a compiled pipeline small: equal components once, parameter texts only where people read.

KFP stores the whole IR in every run and in annotations limited to 256 KiB; its compiler repeats a
component for each task of it and every description in two places. The texts stay in
``components/<stage>/component.yaml`` and in the pipeline's own form.
"""

import re
from typing import Any

Spec = dict[str, Any]

_DOCSTRING = re.compile(r'\) -> None:\n    """.*?"""\n', re.DOTALL)


def slim(spec: Spec, platform: Spec) -> None:
    """Shrink the two documents of a compiled pipeline in place."""
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


def _short(word: str) -> str:
    """Return a component's source without its docstring."""
    return _DOCSTRING.sub(") -> None:\n", word)


def _merge(spec: Spec, platform: Spec) -> None:
    """Let tasks with equal components and executors share them."""
    executors = spec["deploymentSpec"]["executors"]
    extra = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    platforms = extra.get("executors", {})
    first: list[tuple[Spec, Spec, Spec, str]] = []
    replaced: dict[str, str] = {}
    for name, component in list(spec["components"].items()):
        if "executorLabel" not in component:  # the tasks before an exit task
            continue
        label = component["executorLabel"]
        rest = {key: value for key, value in component.items() if key != "executorLabel"}
        wanted = (rest, executors[label], platforms.get(label, {}))
        same = next((known for *parts, known in first if tuple(parts) == wanted), None)
        if same is None:
            first.append((*wanted, name))
            continue
        replaced[name] = same
        del spec["components"][name], executors[label]
        platforms.pop(label, None)
    inner = [item["dag"] for item in spec["components"].values() if "dag" in item]
    for dag in (spec["root"]["dag"], *inner):
        for task in dag["tasks"].values():
            reference = task["componentRef"]
            reference["name"] = replaced.get(reference["name"], reference["name"])
