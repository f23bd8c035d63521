"""Checks a run's inputs before it starts: that they exist, and their form."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from refine_af.contracts.content import Content
from refine_af.contracts.errors import ParameterError
from refine_af.pipelines.tasks import PlannedTask
from refine_af.processes.params import ProcessesParams
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN, MADE, fetch_rows_file

PACKAGED = {"builtin:operators", "builtin:static", *MADE, *BUILTIN}
"""Packaged data besides the models."""


def check_contents(tasks: Sequence[PlannedTask]) -> None:
    """Check what the tasks' parameters name, as far as this machine can without a model.

    Local files must exist, seeds and operators must be readable, models must have a possible name,
    and functions of the user's must be importable. What is remote is left to ``check_inputs``.

    Raises:
        ParameterError: Nothing is there; naming stage, parameter and value.
        DataError: A file of another shape, as the stage that reads it says.
    """
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        _refuse_nodes(task)
        for content in task.params.content():
            if (content.parameter, content.value) not in seen:
                seen.add((content.parameter, content.value))
                _check(task.stage.name, content)


def _refuse_nodes(task: PlannedTask) -> None:
    if isinstance(task.params, ProcessesParams) and task.params.nodes > 1:
        raise ParameterError(
            f"{task.stage.name}.nodes is {task.params.nodes}; this machine is one node: compile the"
            " pipeline for a cluster with Kubeflow Trainer, or set nodes to 1"
        )


def _check(stage: str, content: Content) -> None:
    where = f"{stage}.{content.parameter}"
    if content.kind == "code":
        _check_code(where, content.value)
    elif content.kind == "model":
        _check_model(where, content.value)
    elif content.kind in ("file", "tasks", "operators", "answers"):
        _check_file(where, content)


def _check_code(where: str, name: str) -> None:
    from refine_af.engines.scorers.user import UserScorer

    try:
        UserScorer(name)
    except ParameterError as error:
        raise ParameterError(f"{where} is {name!r}; {error}") from None


def _check_model(where: str, model: str) -> None:
    from refine_af.engines.models import check_name

    if model not in PACKAGED:
        try:
            check_name(model)
        except ParameterError as error:
            raise ParameterError(f"{where}: {error}") from None


def _check_file(where: str, content: Content) -> None:
    value = content.value
    if "://" in value:
        return
    if value.startswith("builtin:"):
        if content.kind != "answers" and value not in PACKAGED:
            raise ParameterError(
                f"{where} is {value!r}; the package has {', '.join(sorted(PACKAGED))}"
            )
        return
    if not Path(value).exists():
        raise ParameterError(
            f"{where} is {value!r}; nothing is there (looked in {Path.cwd()}): give an existing"
            " path, a URI, or builtin: data"
        )
    if content.parameter == "seeds_uri":
        with TemporaryDirectory() as folder:
            read_seeds(fetch_rows_file(value, Path(folder)), value, "unknown")
    elif content.kind == "operators":
        from refine_af.evolve.operators import load_operators

        load_operators(Path(value), value)
