"""The folder of a task's records; ``refine_af.contracts.stage.RECORDS`` says its layout."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ARTIFACTS = "artifacts"


def write_records(
    folder: Path, task: str, own: Mapping[str, Path], shown: Mapping[str, Path]
) -> None:
    """Write the records of a task.

    Args:
        folder: A new folder.
        task: The task's folder name, such as ``evaluate-rl``.
        own: Metrics, provenance and telemetry.
        shown: What the report reads of the task.
    """
    below = folder / ARTIFACTS / task
    below.mkdir(parents=True)
    for target, files in ((folder, own), (below, shown)):
        for name, path in files.items():
            shutil.copyfile(path, target / name)


def add_records(folder: Path, before: Path) -> None:
    """Add what the records of the task before hold; a task that is there already stays."""
    for task in tasks_below(before):
        target = folder / ARTIFACTS / task.name
        if not target.exists():
            shutil.copytree(task, target)


def tasks_below(folder: Path) -> list[Path]:
    """Return the folders of the tasks in a folder of records, by name."""
    return sorted(path for path in (folder / ARTIFACTS).glob("*") if path.is_dir())


def record_files(folder: Path, names: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, Path]]:
    """Yield ``<task>/<name>`` and path of the files that are there.

    Args:
        folder: A folder of records, or a run of this machine.
        names: What each stage's tasks hold, by the stage's name.
    """
    for task in tasks_below(folder):
        stages = [stage for stage in names if f"{task.name}-".startswith(f"{stage}-")]
        for name in names[max(stages, key=len)] if stages else ():
            if (task / name).is_file():
                yield f"{task.name}/{name}", task / name
