"""Finds the artifacts of an earlier run below a path or URI, so that a part can be run again."""

from collections.abc import Mapping
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.stage import EVERY_STAGE_WRITES
from refine_af.pipelines.flow import Selection, check_task
from refine_af.pipelines.local import artifact_folder, task_names
from refine_af.runner import find_stage
from refine_af.storage.schemes import open_store

Reuse = dict[str, dict[str, str]]


def select(root: str, pipeline: Any, only: str, since: str) -> Selection:  # noqa: ANN401  of kfp
    """Return which tasks run, and the artifacts below ``root`` that stand for the others.

    Args:
        root: The ``artifacts`` folder of ``refine-af run``, ``refine-af/<workflow>`` in Argo's
            bucket, or ``<pipeline root>/refine-af/<run id>`` of KFP; path or URI.
        pipeline: The whole pipeline, as KFP knows it.
        only: The one task to run; or empty.
        since: The first task to run; or empty.

    Raises:
        ParameterError: When there is no such task, or nothing of an earlier run below ``root``.
    """
    names = task_names(pipeline)
    tasks = list(names.values())
    if only:
        chosen = [check_task(only, tasks)]
    else:
        chosen = tasks[tasks.index(check_task(since, tasks)) :]
    found = artifacts_below(root, names)
    wanted = {
        names[other]
        for key, task in pipeline.pipeline_spec.root.dag.tasks.items()
        if names[key] in chosen
        for other in task.dependent_tasks
    }
    missing = [name for name in tasks if name in wanted - set(chosen) - set(found)]
    if missing:
        raise ParameterError(
            f"{root}: no artifacts of {', '.join(missing)} there; name the folder that holds one"
            " folder per task"
        )
    return Selection({k: v for k, v in found.items() if k not in chosen}, frozenset(chosen))


def artifacts_below(root: str, names: Mapping[str, str]) -> Reuse:
    """Return ``{task: {output: URI}}``, and the text of values that were stored as files.

    KFP puts a folder of its own between task and output. Where a task was tried several times the
    last in the order of names is taken; equal tasks write equal bytes.
    """
    folders = {artifact_folder(name): name for name in names.values()} | dict(names)
    store = open_store(root)
    found: Reuse = {}
    start = root.rstrip("/") + "/"
    for uri in store.list_files(root):
        parts = uri.removeprefix(start).split("/")
        task = folders.get(parts[0])
        if task is None or not uri.startswith(start):
            continue
        stage = find_stage(task.split(" ")[0])
        kinds = {item.name: item.kind for item in (*stage.outputs, *EVERY_STAGE_WRITES)}
        depth = next(
            (place for place in (1, 2) if len(parts) > place and parts[place] in kinds),
            0,
        )
        if not depth:
            continue
        place = start + "/".join(parts[: depth + 1])
        is_value = kinds[parts[depth]] == "parameter"
        value = store.read(uri).decode("utf-8") if is_value else place
        found.setdefault(task, {})[parts[depth]] = value
    return found
