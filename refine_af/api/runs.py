"""Runs of every layout as rows and scores, and runs in a process of their own."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, overload

from refine_af.api.results import Table, read_mappings
from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import iter_rows
from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Row
from refine_af.lineage.overview import ArmScores, arm_scores, result_of
from refine_af.lineage.run import Run as StoredRun
from refine_af.lineage.run import open_run as open_stored_run
from refine_af.lineage.status import status_of

RecordT = TypeVar("RecordT", bound=Row)


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

    @overload
    def rows(self, artifact: str, task: str = "") -> Table[dict[str, Any]]: ...

    @overload
    def rows(self, artifact: str, task: str = "", *, record: type[RecordT]) -> Table[RecordT]: ...

    def rows(self, artifact: str, task: str = "", *, record: type[Row] | None = None) -> Table[Any]:
        """Return the rows called ``artifact``, of one task or of all that have it.

        Args:
            artifact: Name of an output, such as ``kept`` or ``scored``.
            task: Name of a task, such as ``score_rewards-rl``.
            record: What each row is to be, such as :class:`refine_af.contracts.records.Instance`;
                without it rows are dictionaries with all their columns.

        Raises:
            ParameterError: When no task has such an artifact.
            DataError: For a row that is no ``record``.
        """
        table: Table[Any] = Table()
        for path in self._files(artifact, task):
            table += read_mappings(path) if record is None else iter_rows(path, record)
        return table

    def _files(self, artifact: str, task: str) -> list[Path]:
        files = [
            rows.path
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
        return files

    def scores(self) -> Table[ArmScores]:
        """Return the report's numbers, one row for each arm.

        Raises:
            DataError: Before the report is there.
        """
        arms = arm_scores(self._stored)
        if not arms:
            raise DataError(f"{self.uri}: no report in it yet")
        return Table(arms)

    def answer(self) -> str:
        """Return the report's first sentence; empty before the report is there."""
        return str(result_of(self._stored).get("answer", ""))


@dataclass(frozen=True, slots=True)
class TaskState:
    """Where a task of a run stands.

    Attributes:
        name: Such as ``evaluate (rl)``.
        state: ``waiting``, ``running or killed``, ``finished`` or ``failed``.
        done: Units done; None where the task counts nothing, or has ended.
        total: Units in all, likewise.
        unit: What is counted.
        left: Seconds that the rest takes; None where that is not known.
        message: Why it failed.
    """

    name: str
    state: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    left: float | None = None
    message: str = ""


class RunningRun:
    """A run in a process of its own."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        """Follow ``process``, which runs in ``folder`` and writes to ``log``."""
        self.folder = folder
        self._process, self._log = process, log

    def states(self) -> list[TaskState]:
        """Return where each task stands, in the order of the DAG; nothing before the run began."""
        try:
            tasks = status_of(str(self.folder))["tasks"]
        except DataError:
            return []
        return [_task_state(task) for task in tasks]

    def follow(self, seconds: float = 1.0) -> Iterator[list[TaskState]]:
        """Yield the states every so many seconds, and once more after the end."""
        while self._process.poll() is None:
            yield self.states()
            time.sleep(seconds)
        yield self.states()

    def wait(self) -> Run:
        """Wait for the end and return the finished run.

        Raises:
            DataError: When the run failed, with its last line.
        """
        if self._process.wait() != 0:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace")
            raise DataError(f"{self.folder}: {said.strip().rpartition(chr(10))[2]}")
        return Run(self.folder)

    def stop(self) -> None:
        """End the run; started again in the same folder it continues."""
        self._process.terminate()
        self._process.wait()


def _task_state(task: Mapping[str, Any]) -> TaskState:
    counted = {name: task[name] for name in ("done", "total", "unit") if name in task}
    message = str(task.get("message", ""))
    return TaskState(task["task"], task["state"], **counted, left=task.get("eta"), message=message)


def start_run(
    folder: str | Path,
    preset: str = "quickstart",
    settings: Mapping[str, Scalar] | None = None,
    *,
    config: str | Path = "",
    limit: int = 0,
) -> RunningRun:
    """Start a run in a folder and return at once; stop it, or wait for its end.

    Args:
        folder: Of the run. One that was stopped there continues.
        preset: A packaged preset.
        settings: ``{"train_ppo.updates": 40}``; without a stage: a parameter of the pipeline.
        config: A YAML file laid over the preset.
        limit: At most so many rows through every stage; 0: no limit.
    """
    words = [sys.executable, "-m", "refine_af", "run", "--preset", preset]
    words += ["--output-dir", str(folder)]
    words += ["--config", str(config)] if config else []
    words += ["--limit", str(limit)] if limit else []
    for name, value in (settings or {}).items():
        words += ["--set", f"{name}={value}"]
    log = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would stop the run
    process = subprocess.Popen(  # noqa: S603  our own command
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
    )
    return RunningRun(Path(folder), process, log)
