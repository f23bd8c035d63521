"""What is exported: one arm's rows, and everything the card says about how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.records import Instance, Seed
from refine_af.contracts.stage import task_folder
from refine_af.contracts.stored_rows import stored_rows
from refine_af.export.splits import family_roots
from refine_af.lineage.configuration import configuration
from refine_af.lineage.run import Run, RunTask
from refine_af.storage.manifest import digest_file

ROWS_STAGE = "score_rewards"
WRITERS = ("evolve_instructions", "generate_instances", "generate_responses")
"""Stages whose model wrote words of the rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to export and their history.

    Attributes:
        instances: The rows, in file order; they stay in their file.
        seeds: Seed tasks that the run started from; their licences bind the rows.
        arm: Such as ``rl``; empty when the files were named one by one.
        model: Id of the model that wrote the rows; empty when unknown or more than one.
        manifest: What the run read, with digests.
        provenance: Parameters, input digests and code of each task that decided the rows, by
            task in the order of the DAG.
        counts: Metrics of these tasks.
        files: SHA-256 of each file read, by name.
        config: The run's configuration; None when it is not known.
        notes: What the run's layout lacks, a sentence each.
        roots: First instruction of each family of tasks by its instructions' ids.
    """

    instances: Sequence[Instance]
    seeds: Sequence[Seed]
    arm: str
    model: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    roots: Mapping[str, str] = field(default_factory=dict)


def source_of_run(run: Run, arm: str) -> Source:
    """Return what a run holds of an arm.

    Raises:
        DataError: When the run did not get as far as scored instances, or has no seeds.
        ParameterError: For an arm that the run does not have.
    """
    arms = sorted(task.label for task, _ in run.files("scored", ROWS_STAGE))
    if not arms:
        raise DataError(
            f"{run.uri}: no scored instances in it (task {ROWS_STAGE}); name a run that got so"
            " far, or give --instances and --seeds"
        )
    if arm not in arms:
        raise ParameterError(
            f"--arm {arm!r}: the run has no such arm;{nearest(arm, arms)} arms: {', '.join(arms)}"
        )
    rows = _file(run, task_folder(ROWS_STAGE, arm), "scored")
    seeds = _file(run, "seed_ingest", "seeds")
    tasks = _tasks(run, arm)
    return Source(
        instances=_instances(rows),
        seeds=stored_rows(seeds, Seed),
        arm=arm,
        model=_writer(tasks),
        manifest=run.manifest,
        provenance={task.name: task.provenance for task in tasks},
        counts={task.name: task.json("metrics") for task in tasks},
        files={"instances": digest_file(rows), "seeds": digest_file(seeds)},
        config=configuration(run) or None,
        notes=tuple(run.lacking()),
        roots=family_roots(run),
    )


def _file(run: Run, name: str, artifact: str) -> Path:
    task = run.task(name)
    path = task.path(artifact) if task else None
    if path is None:
        raise DataError(f"{run.uri}: {name} has left no {artifact}, which the export needs")
    return path


def source_of_files(instances: Path, seeds: Path | None, model: str) -> Source:
    """Return rows that are named one by one, such as artifacts fetched from a KFP run."""
    files = {"instances": digest_file(instances)}
    if seeds:
        files["seeds"] = digest_file(seeds)
    return Source(
        instances=_instances(instances),
        seeds=stored_rows(seeds, Seed) if seeds else (),
        arm="",
        model=model,
        files=files,
    )


def _instances(path: Path) -> Sequence[Instance]:
    rows = stored_rows(path, Instance)
    if not rows:
        raise DataError(f"{path}: no row in it; there is nothing to export")
    return rows


def _tasks(run: Run, arm: str) -> list[RunTask]:
    """Return the tasks that decided the arm's rows, in the order of the DAG."""
    trained = {"rl": "train_ppo", "learned": "train_operator_policy"}.get(arm)
    whole = {"seed_ingest", "dedup_filter", trained}
    own = {"evolve_instructions", "dedup_filter", *WRITERS, ROWS_STAGE}
    return [
        task
        for task in run.tasks
        if task.stage.name == "generate_instructions"
        or task.name in whole
        or (task.stage.name in own and task.label == arm)
    ]


def _writer(tasks: Sequence[RunTask]) -> str:
    """Return the model that wrote the rows; empty when unknown, or when there were several."""
    writers = [task for task in tasks if task.stage.name in WRITERS]
    models = {str(task.params.get("model", "")) for task in writers}
    return models.pop() if len(models) == 1 else ""
