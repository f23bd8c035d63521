"""A folder of ``refine-af run``: its tasks, in the order of the DAG, and their artifacts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Stage
from refine_af.lineage.row_file import RowFile
from refine_af.stages import STAGES

ARTIFACTS = "artifacts"
_ORDER = [stage.name for stage in STAGES]


@dataclass(frozen=True)
class TaskFolder:
    """The artifacts of one finished task.

    Attributes:
        name: Of the folder, such as ``evaluate-rl``.
        path: The folder.
        stage: The stage that wrote it.
        provenance: Parameters, input digests and code; empty when the artifact is not there.
    """

    name: str
    path: Path
    stage: Stage
    provenance: dict[str, Any] = field(hash=False)

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters that decided the rows."""
        found: dict[str, Any] = self.provenance.get("params", {})
        return found

    @property
    def input_digests(self) -> dict[str, str]:
        """Return the digest of each input that the task read."""
        found: dict[str, str] = self.provenance.get("inputs", {})
        return found

    def rows(self, name: str) -> RowFile | None:
        """Return an artifact of rows, or None where the task has none of that name."""
        path = self.path / name
        return _row_file(path) if path.is_file() else None

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON artifact; empty where the task has none."""
        return read_json(self.path / name)

    def artifacts(self) -> Iterator[tuple[str, Path]]:
        """Yield name and path of every declared output that is there."""
        for item in (*self.stage.outputs, *EVERY_STAGE_WRITES):
            if (self.path / item.name).exists():
                yield item.name, self.path / item.name


@cache
def _row_file(path: Path) -> RowFile:
    return RowFile(path)


class RunFolder:
    """A run's artifacts; see :func:`open_run`."""

    def __init__(self, path: Path) -> None:
        """Look below ``path``; only folders' names and provenance are read."""
        self.path = path

    @cached_property
    def tasks(self) -> list[TaskFolder]:
        """Return the finished tasks in the order of the DAG, tasks of one stage by name."""
        known = {stage.name: stage for stage in STAGES}
        found = []
        root = self.path / ARTIFACTS
        for folder in sorted((root if root.is_dir() else self.path).iterdir()):
            provenance = read_json(folder / "provenance")
            stage = known.get(provenance.get("stage", folder.name.partition("-")[0]))
            if stage is not None and folder.is_dir():
                found.append(TaskFolder(folder.name, folder, stage, provenance))
        return sorted(found, key=lambda task: _ORDER.index(task.stage.name))

    def of(self, *stages: str) -> list[TaskFolder]:
        """Return the tasks of these stages, in the order of the DAG."""
        return [task for task in self.tasks if task.stage.name in stages]

    def files(self, artifact: str, *stages: str) -> Iterator[tuple[TaskFolder, RowFile]]:
        """Yield the rows called ``artifact`` of every task, of these stages where any is named."""
        for task in self.of(*stages) if stages else self.tasks:
            rows = task.rows(artifact)
            if rows is not None:
                yield task, rows

    def every_file(self) -> Iterator[tuple[TaskFolder, str, RowFile]]:
        """Yield every artifact of rows with its task and name."""
        for task in self.tasks:
            for item in task.stage.outputs:
                rows = task.rows(item.name) if item.kind == "rows" else None
                if rows is not None:
                    yield task, item.name, rows


def open_run(path: Path) -> RunFolder:
    """Return the run in ``path``: its ``artifacts``, or folders of tasks fetched from a cluster.

    Raises:
        DataError: When no task has left artifacts there.
    """
    run = RunFolder(path)
    if not path.is_dir() or not run.tasks:
        raise DataError(
            f"{path}: no artifacts of a run in it; name the output folder of a `refine-af run`"
        )
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no file.

    Raises:
        DataError: When the file holds something else.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); the file was altered") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: found {type(value).__name__}, expected a JSON object")
    return value
