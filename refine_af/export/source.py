"""What is exported: one arm's rows, and everything the card says about how they came about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import parse_object, read_rows
from refine_af.contracts.records import Instance, Seed
from refine_af.storage.manifest import digest_file

ROWS_TASK = "score_rewards-"
WRITERS = ("evolve_instructions", "generate_instances", "generate_responses")
"""Stages whose model wrote words of the rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to export and their history.

    Attributes:
        instances: The rows, in file order.
        seeds: Seed tasks that the run started from; their licences bind the rows.
        arm: Such as ``rl``; empty when the files were named one by one.
        model: Id of the model that wrote the rows; empty when unknown or more than one.
        manifest: What the run read, with digests.
        provenance: Parameters, input digests and code of each task that decided the rows, by
            task in the order of the DAG.
        counts: Metrics of these tasks.
        files: SHA-256 of each file read, by name.
        config: The run's configuration; None when it is not known.
    """

    instances: tuple[Instance, ...]
    seeds: tuple[Seed, ...]
    arm: str
    model: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None


def source_of_run(folder: Path, arm: str) -> Source:
    """Return what a folder of ``refine-af run`` holds of an arm.

    Raises:
        DataError: When the folder is not one of a run that got as far as scored instances.
        ParameterError: For an arm that the run does not have.
    """
    artifacts = folder / "artifacts"
    arms = sorted(
        path.name.removeprefix(ROWS_TASK)
        for path in artifacts.glob(f"{ROWS_TASK}*")
        if (path / "scored").is_file()
    )
    if not arms:
        raise DataError(
            f"{folder}: no scored instances in it; name the output folder of a `refine-af run`, or"
            " give --instances and --seeds"
        )
    if arm not in arms:
        raise ParameterError(
            f"--arm {arm!r}: the run has no such arm;{nearest(arm, arms)} arms: {', '.join(arms)}"
        )
    rows = artifacts / f"{ROWS_TASK}{arm}" / "scored"
    seeds = artifacts / "seed_ingest" / "seeds"
    manifest = _read(artifacts / "check_inputs" / "manifest")
    tasks = _tasks(artifacts, arm)
    return Source(
        instances=tuple(_instances(rows)),
        seeds=tuple(read_rows(seeds, Seed)),
        arm=arm,
        model=_writer(tasks, arm),
        manifest=manifest,
        provenance={name: _read(path / "provenance") for name, path in tasks.items()},
        counts={name: _read(path / "metrics") for name, path in tasks.items()},
        files={"instances": digest_file(rows), "seeds": digest_file(seeds)},
        config=_read(folder / "run.json").get("config"),
    )


def source_of_files(instances: Path, seeds: Path | None, model: str) -> Source:
    """Return rows that are named one by one, such as artifacts fetched from a KFP run."""
    files = {"instances": digest_file(instances)}
    if seeds:
        files["seeds"] = digest_file(seeds)
    return Source(
        instances=tuple(_instances(instances)),
        seeds=tuple(read_rows(seeds, Seed)) if seeds else (),
        arm="",
        model=model,
        files=files,
    )


def _instances(path: Path) -> list[Instance]:
    rows = read_rows(path, Instance)
    if not rows:
        raise DataError(f"{path}: no row in it; there is nothing to export")
    return rows


def _tasks(artifacts: Path, arm: str) -> dict[str, Path]:
    """Return the tasks that decided the arm's rows, by name, in the order of the DAG."""
    trained = {"rl": "train_ppo", "learned": "train_operator_policy"}.get(arm)
    names = [
        "seed_ingest",
        *sorted(path.name for path in artifacts.glob("generate_instructions*")),
        *([trained] if trained else []),
        f"evolve_instructions-{arm}",
        "dedup_filter",
        f"dedup_filter-{arm}",
        f"generate_instances-{arm}",
        f"generate_responses-{arm}",
        ROWS_TASK + arm,
    ]
    return {name: artifacts / name for name in names if (artifacts / name).is_dir()}


def _writer(tasks: Mapping[str, Path], arm: str) -> str:
    """Return the model that wrote the rows; empty when unknown, or when there were several."""
    paths = [tasks[f"{stage}-{arm}"] for stage in WRITERS if f"{stage}-{arm}" in tasks]
    found = {str(_read(path / "provenance").get("params", {}).get("model", "")) for path in paths}
    return found.pop() if len(found) == 1 else ""


def _read(path: Path) -> dict[str, Any]:
    return parse_object(path.read_bytes(), str(path)) if path.is_file() else {}
