"""The project from Python: stages on rows or files, and runs that can be started and read.

>>> from refine_af import api
>>> result = api.dedup(["Sort a list of numbers.", "Sort a list of numbers!"], max_rouge_l=0.7)
>>> [row["instruction"] for row in result.kept]
['Sort a list of numbers.']

Rows are dictionaries with the columns that the components' pages name; texts stand for
instructions. A path (or URI of an artifact) may be given wherever rows may.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import iter_objects, write_rows
from refine_af.contracts.params import Scalar
from refine_af.contracts.records import content_id
from refine_af.lineage.overview import result_of
from refine_af.lineage.run import Run as StoredRun
from refine_af.lineage.run import open_run as open_stored_run
from refine_af.lineage.status import status_of
from refine_af.runner import find_stage
from refine_af.runner import run_stage as run_stage_on_files

if TYPE_CHECKING:
    import datasets
    import pandas

Row = dict[str, Any]
Rows = str | Path | Iterable[str | Mapping[str, Any]]
"""Rows, texts (instructions), or the path of a file of rows."""


@dataclass(frozen=True)
class StageResult:
    """What a stage wrote; files live as long as this object.

    Attributes:
        metrics: Numbers of the stage.
        outputs: Local path of each output, by name.
    """

    metrics: Mapping[str, float]
    outputs: Mapping[str, Path]
    _folder: "tempfile.TemporaryDirectory[str]"

    def rows(self, name: str) -> list[Row]:
        """Return the rows of an output.

        Raises:
            ParameterError: When the stage has no such output.
        """
        if name not in self.outputs:
            known = list(self.outputs)
            raise ParameterError(
                f"no output {name!r};{nearest(name, known)} outputs: {', '.join(known)}"
            )
        return _read(self.outputs[name])

    @property
    def kept(self) -> list[Row]:
        """Return the rows that stay, of a stage that judges rows."""
        return self.rows("kept" if "kept" in self.outputs else "scored")

    @property
    def rejected(self) -> list[Row]:
        """Return the dropped rows with reason, neighbour and score."""
        return self.rows("rejected")


def run_stage(name: str, inputs: Mapping[str, Rows], **params: Scalar) -> StageResult:
    """Run one stage on rows or files.

    Args:
        name: Of the stage, such as ``dedup_filter``.
        inputs: Rows or paths by input name; optional inputs may be absent.
        params: The stage's parameters; unset ones have their defaults.

    Raises:
        RefineAfError: As on the command line: for parameters, data or what the stage depends on.
    """
    stage = find_stage(name)
    folder = tempfile.TemporaryDirectory(prefix="refine-af-api-", ignore_cleanup_errors=True)
    paths = {
        key: _as_file(value, Path(folder.name, f"input-{key}")) for key, value in inputs.items()
    }
    outputs = {item.name: Path(folder.name, item.name) for item in stage.outputs}
    metrics = run_stage_on_files(
        name,
        inputs=paths,
        outputs={key: str(path) for key, path in outputs.items()},
        params=dict(params),
    )
    return StageResult(metrics, outputs, folder)


def dedup(
    rows: Rows, *, pool: Rows = (), max_rouge_l: float = 0.7, **params: Scalar
) -> StageResult:
    """Drop near-duplicates: rows over the bound against the pool and the rows kept before them.

    Args:
        rows: What is judged, in order of arrival.
        pool: Rows that are already taken; never dropped.
        max_rouge_l: Bound; a row strictly above it is dropped.
        params: Further parameters of ``dedup_filter``.
    """
    inputs = {"candidates": rows} | ({"pool": pool} if not _is_empty(pool) else {})
    return run_stage("dedup_filter", inputs, max_rouge_l=max_rouge_l, **params)


def score(instances: Rows, *, reward: str = "balanced", **params: Scalar) -> StageResult:
    """Score instances (instruction, input, output) with a reward preset; ``kept`` holds them."""
    return run_stage("score_rewards", {"instances": instances}, reward=reward, **params)


class Run:
    """A run, wherever it lies: on this machine, in Argo's bucket or below KFP's root."""

    def __init__(self, uri: str | Path) -> None:
        """Read the run at a path or URI."""
        self.uri = str(uri)
        self._stored: StoredRun = open_stored_run(uri)

    @property
    def tasks(self) -> list[str]:
        """Return the names of the tasks, in the order of the DAG."""
        return [task.name for task in self._stored.tasks]

    def rows(self, artifact: str, task: str = "") -> list[Row]:
        """Return the rows called ``artifact``, of one task or of all that have it.

        Raises:
            ParameterError: When no task has such an artifact.
        """
        files = [
            rows
            for owner, name, rows in self._stored.every_file()
            if name == artifact and task in ("", owner.name)
        ]
        if not files:
            known = sorted({name for _, name, _ in self._stored.every_file()})
            raise ParameterError(
                f"no rows {artifact!r}{f' in {task!r}' if task else ''};"
                f"{nearest(artifact, known)} artifacts: {', '.join(known)}; tasks:"
                f" {', '.join(self.tasks)}"
            )
        return [row for file in files for row in _read(file.path)]

    def scores(self) -> dict[str, dict[str, float]]:
        """Return the report's numbers by arm.

        Raises:
            DataError: Before the report is there.
        """
        arms: dict[str, dict[str, float]] = result_of(self._stored).get("arms", {})
        if not arms:
            raise DataError(f"{self.uri}: no report in it yet")
        return arms

    def answer(self) -> str:
        """Return the report's first sentence; empty before the report is there."""
        return str(result_of(self._stored).get("answer", ""))

    def to_pandas(self, artifact: str, task: str = "") -> "pandas.DataFrame":
        """Return rows as a data frame."""
        import pandas

        return pandas.DataFrame(self.rows(artifact, task))

    def to_datasets(self, artifact: str, task: str = "") -> "datasets.Dataset":
        """Return rows as a data set of the library ``datasets``."""
        import datasets

        return datasets.Dataset.from_list(self.rows(artifact, task))


class RunningRun:
    """A run in a process of its own."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]") -> None:
        """Follow ``process``, which runs in ``folder``."""
        self.folder = folder
        self._process = process

    def status(self) -> list[dict[str, Any]]:
        """Return name and state of each task, and how far the running one is."""
        tasks: list[dict[str, Any]] = status_of(str(self.folder))["tasks"]
        return tasks

    def wait(self) -> Run:
        """Wait for the end and return the finished run.

        Raises:
            DataError: When the run failed, with its last line.
        """
        _, error = self._process.communicate()
        if self._process.returncode != 0:
            raise DataError(f"{self.folder}: {error.strip().rpartition(chr(10))[2]}")
        return Run(self.folder)

    def stop(self) -> None:
        """End the run; started again in the same folder it continues."""
        self._process.terminate()
        self._process.wait()


def start_run(
    folder: str | Path, preset: str = "quickstart", settings: Mapping[str, Scalar] | None = None
) -> RunningRun:
    """Start a run in a folder and return at once.

    Args:
        folder: Of the run.
        preset: A packaged preset.
        settings: ``{"train_ppo.updates": 40}``; without a stage: a parameter of the pipeline.
    """
    words = [sys.executable, "-m", "refine_af", "run", "--preset", preset]
    words += ["--output-dir", str(folder)]
    for name, value in (settings or {}).items():
        words += ["--set", f"{name}={value}"]
    process = subprocess.Popen(  # noqa: S603  our own command
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    return RunningRun(Path(folder), process)


def _is_empty(rows: Rows) -> bool:
    return isinstance(rows, Sequence) and not len(rows)


def _as_file(rows: Rows, path: Path) -> str:
    if isinstance(rows, str | Path):
        return str(rows)
    write_rows(path, (_row(row) for row in rows))
    return str(path)


def _row(row: str | Mapping[str, Any]) -> Row:
    """Return a row with an id; one that has none gets it from its content."""
    values = {"instruction": row} if isinstance(row, str) else dict(row)
    return (
        values if "id" in values else {"id": content_id("row", *map(str, values.values()))} | values
    )


def _read(path: Path) -> list[Row]:
    return [row for _, row in iter_objects(path)]
