"""Runs a stage inside a KFP component's container."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import RefineAfError
from refine_af.contracts.params import Scalar
from refine_af.contracts.progress import printable
from refine_af.contracts.stage import task_folder
from refine_af.contracts.termination import report_termination
from refine_af.lineage.records import as_records
from refine_af.processes.together import join_run
from refine_af.runner import end_as_ctrl_c_does, find_stage, run_stage
from refine_af.storage.endings import Endings
from refine_af.storage.journal import Resume


def run_component(name: str, given: Mapping[str, Any]) -> None:
    """Run the stage ``name`` on a component's arguments and log its metrics for the UI.

    An error that the user can fix ends the process with one line and its exit code, without a
    traceback: KFP's page shows the end of the log. A bug keeps its traceback.

    Args:
        name: A stage of the registry.
        given: The arguments by name: KFP artifacts (``None`` where an optional one is absent),
            paths of output parameters, parameter values, ``work_dir`` and ``label``.

    Raises:
        SystemExit: With the exit code of a :class:`refine_af.contracts.errors.RefineAfError`.
    """
    end_as_ctrl_c_does()
    join_run()
    try:
        _run(name, given)
    except RefineAfError as error:
        _keep_failure(name, given, str(error))
        sys.stdout.flush()
        sys.stderr.write(f"refine-af: {printable(str(error))}\n")
        report_termination(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        _keep_failure(name, given, f"{type(error).__name__}: {error}")
        report_termination(f"{type(error).__name__}: {error} (a bug; see the log)")
        raise


def _run(name: str, given: Mapping[str, Any]) -> None:
    stage = find_stage(name)
    outputs = {
        item.name: given[item.name] if item.kind == "parameter" else _path(given[item.name])
        for item in stage.written
    }
    if stage.records:
        outputs["metrics"] = _path(given["metrics"])
    with as_records(stage, {item.name: _path(given[item.name]) for item in stage.taken}) as inputs:
        metrics = run_stage(
            name,
            inputs=inputs,
            outputs=outputs,
            params={key: _value(given[key]) for key in stage.params.model_fields},
            work_dir=given["work_dir"],
            label=given["label"],
            resume=_resume(f"{name} ({given['label']})" if given["label"] else name),
        )
    if not stage.records:
        return
    for key, value in metrics.items():
        given["metrics"].log_metric(key, value)
    result = Path(outputs["result"]) if "result" in outputs else None
    with suppress(RefineAfError):  # the exit task says less then
        Endings(given["work_dir"]).succeeded(task_folder(name, given["label"]), result)


def _keep_failure(name: str, given: Mapping[str, Any], message: str) -> None:
    with suppress(RefineAfError):  # a store that does not answer may be what failed
        Endings(given["work_dir"]).failed(task_folder(name, given["label"]), message)


def _resume(task: str) -> Resume:
    """Return how the task uses its journal, as ``refine-af run --resume`` asked for."""
    asked = os.environ.get("REFINE_AF_RESUME", "if_possible")
    if asked == "never":
        return "never"
    started = json.loads(os.environ.get("REFINE_AF_STARTED", "[]"))
    return "always" if asked == "always" and task in started else "if_possible"


def _value(value: Any) -> Scalar:  # noqa: ANN401  a parameter, or KFP's final status of a run
    if isinstance(value, str | int | float | bool):
        return value
    return json.dumps(vars(value)) if value else ""


def _path(artifact: Any) -> str:  # noqa: ANN401  a KFP artifact, typed only where kfp is installed
    return str(artifact.path) if artifact else ""
