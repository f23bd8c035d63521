"""Seconds, tokens and hosts of a run's tasks, every try of them."""

from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.lineage.run import Run


def telemetry_of(run: Run) -> dict[str, dict[str, Any]]:
    """Return every ``telemetry`` artifact of a run, by task and try, in order of start.

    Raises:
        DataError: When there is none.
    """
    tries = [task for task in run.tries if task.telemetry]
    if not tries:
        raise DataError(
            f"{run.uri}: no telemetry below it; name the output folder of a `refine-af run`, the"
            " folder of an Argo workflow or the folder of a KFP run"
        )
    rows: dict[str, dict[str, Any]] = {}
    for task in sorted(tries, key=lambda task: task.telemetry.get("started", 0.0)):
        title = task.title
        tried = sum(known == title or known.startswith(f"{title}, again") for known in rows)
        rows[f"{title}, again {tried}" if tried else title] = task.telemetry
    return rows
