"""Checks that a run's artifacts all belong to the configuration in its ``run.json``."""

from typing import Any

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.lineage.run import Run, RunTask

SHOWN = 5


def mixed(run: Run) -> list[str]:
    """Return a sentence for each parameter of a task that is not what the run planned.

    A run of a cluster, or of an older version, has no plan; its list is empty.
    """
    planned: dict[str, dict[str, Any]] = run.spec.get("planned", {})
    lines: list[str] = []
    for task in run.tasks:
        lines += _differences(task, planned.get(task.title, {}))
    return lines


def refuse_mixture(run: Run) -> Run:
    """Return the run when its artifacts are of one configuration.

    Raises:
        DataError: Naming each task and parameter that is of another one.
    """
    lines = mixed(run)
    if lines:
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise DataError(
            f"{run.uri}: its artifacts are of several configurations ({'; '.join(lines[:SHOWN])}"
            f"{more}); run `refine-af run` again with one configuration in this folder"
        )
    return run


def _differences(task: RunTask, planned: dict[str, Any]) -> list[str]:
    fields = task.stage.params.model_fields
    values = {name: value for name, value in planned.items() if name in fields}
    values = {name: value for name, value in values.items() if value is not None}
    try:
        expected = task.stage.params.parse(values).method_values()
    except ParameterError:
        return []  # of another version, with other parameters
    return [
        f"{task.name} was made with {name} {task.params[name]!r}, the run says {expected[name]!r}"
        for name in sorted(values.keys() & expected.keys() & task.params.keys())
        if task.params[name] != expected[name] and not name.endswith("_digest")
    ]
