"""Finds the artifacts of an earlier run, so that a part of it can be run again.

The run may lie on this machine, in Argo's bucket or below KFP's pipeline root, whatever the part
is compiled for.
"""

from collections.abc import Sequence

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.stage import RECORDS
from refine_af.lineage.run import Run, RunTask, open_run
from refine_af.pipelines.flow import Selection, check_task
from refine_af.pipelines.tasks import PlannedTask

Reuse = dict[str, dict[str, str]]
"""``{task: {output: URI or value}}``; tasks by their names for people."""


def select(root: str, planned: Sequence[PlannedTask], only: str, since: str) -> Selection:
    """Return which tasks run, and the artifacts below ``root`` that stand for the others.

    Args:
        root: The output folder of ``refine-af run``, ``refine-af/<workflow>`` in Argo's bucket, or
            ``<pipeline root>/refine-af/<run id>`` of KFP; path or URI.
        planned: The whole pipeline.
        only: The one task to run; or empty.
        since: The first task to run; or empty.

    Raises:
        ParameterError: For an unknown task, or if a task that it reads from left no artifacts.
        DataError: When a task is there more than once with different contents.
    """
    tasks = [task.name for task in planned]
    chosen = choose(tasks, only, since)
    reused = reusable(root, [name for name in tasks if name not in chosen])
    wanted = {
        item.task
        for task in planned
        if task.name in chosen
        for item in (*task.inputs.values(), *task.later.values())
    }
    missing = [name for name in tasks if name in wanted - set(chosen) - set(reused)]
    if missing:
        raise ParameterError(
            f"{root}: no artifacts of {', '.join(missing)} there; name the folder that holds one"
            " folder per task"
        )
    return Selection(reused, frozenset(chosen), root)


def choose(tasks: list[str], only: str, since: str) -> list[str]:
    """Return the tasks to run: the one called ``only``, or ``since`` and all after it."""
    if only:
        return [check_task(only, tasks)]
    return tasks[tasks.index(check_task(since, tasks)) :]


def reusable(root: str, tasks: list[str]) -> Reuse:
    """Return the artifacts of these tasks of an earlier run, as far as they exist.

    Raises:
        DataError: When there is no run, or several.
    """
    if not tasks:
        return {}
    run = open_run(root)
    return {task.title: _outputs(run, task) for task in run.tasks if task.title in tasks}


def _outputs(run: Run, task: RunTask) -> dict[str, str]:
    """Return URI or value by output.

    Values are no files in a cluster's bucket: the engines hand them on themselves. Those that
    ``check_inputs`` found stand in its manifest too.
    """
    outputs: dict[str, str] = {}
    for item in task.stage.outputs:
        if item.kind != "parameter":
            if item.name in task.outputs:
                outputs[item.name] = task.outputs[item.name]
        elif path := task.path(item.name):
            outputs[item.name] = path.read_text(encoding="utf-8").rstrip("\n")
        elif item.name in run.manifest:
            outputs[item.name] = str(run.manifest[item.name])
    return outputs | ({RECORDS.name: task.records} if task.records else {})
