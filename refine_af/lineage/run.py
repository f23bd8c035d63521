"""One reader of runs, for every layout and every scheme.

A run lies below a path, ``s3://``, ``gs://`` or ``minio://`` in one of three layouts:

- on this machine: ``artifacts/<task>/<artifact>``, with ``run.json`` and journals beside it;
- Argo's bucket: ``<task>/<artifact>``;
- KFP's pipeline root: ``<task>/<id>/<artifact>``, one id for each try of a task. The arm of
  ``train-sft-2`` is the label in its telemetry.

On a cluster, metrics, provenance and telemetry lie in the artifact ``records``; beside it in runs
of versions before that, which have no metrics among KFP's files.

Tasks have the same names in all of them, such as ``train_sft-rl``.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import parse_object
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Stage, task_folder
from refine_af.contracts.stage import RECORDS as RECORDS_ARTIFACT
from refine_af.lineage.row_file import RowFile
from refine_af.stages import STAGES
from refine_af.storage.location import locate
from refine_af.storage.schemes import open_store

ARTIFACTS = "artifacts"
CONFIGURATION = "run.json"
"""Written by ``refine-af run`` beside the artifacts; runs of a cluster have none."""
RECORDS = ("provenance", "telemetry")
"""Files by which a task's folder is recognised whatever its name."""
_ORDER = [stage.name for stage in STAGES]
_BY_NAME = {stage.name: stage for stage in STAGES}
_BY_LENGTH = sorted(STAGES, key=lambda stage: -len(stage.name))


_IN_RECORDS = f"{RECORDS_ARTIFACT.name}/"

_Records = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RunTask:
    """One task of a run, and what it left.

    Attributes:
        stage: The stage that ran.
        name: The same in every layout, such as ``evaluate-rl``.
        uri: Path or URI of its folder.
        outputs: Path or URI of each declared output that is there, by name; of directories too.
        records: URI of the folder of its records; empty where there is none.
    """

    stage: Stage
    name: str
    uri: str
    outputs: Mapping[str, str] = field(hash=False)
    records: str
    _records: Mapping[str, dict[str, Any]] = field(repr=False, compare=False)
    _fetch: Callable[[str], Path] = field(repr=False, compare=False)
    _files: dict[str, RowFile] = field(default_factory=dict, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Return the arm or shard, in the spelling of the folder's name; may be empty."""
        return self.name[len(self.stage.name) + 1 :]

    @property
    def title(self) -> str:
        """Return the name that people see, such as ``evaluate (rl)``."""
        label = str(self.telemetry.get("label", "")) or self.label
        return f"{self.stage.name} ({label})" if label else self.stage.name

    @property
    def provenance(self) -> dict[str, Any]:
        """Return parameters, digests of inputs and code; empty where they are not there."""
        return self._records.get("provenance", {})

    @property
    def telemetry(self) -> dict[str, Any]:
        """Return times, host and libraries; empty where they are not there."""
        return self._records.get("telemetry", {})

    @property
    def params(self) -> dict[str, Any]:
        """Return the parameters that decided the rows."""
        params: dict[str, Any] = self.provenance.get("params", {})
        return params

    @property
    def input_digests(self) -> dict[str, str]:
        """Return the digest of each input that the task read."""
        digests: dict[str, str] = self.provenance.get("inputs", {})
        return digests

    def path(self, name: str) -> Path | None:
        """Return a local copy of an output (the file itself on a disk); None where it is not."""
        return self._fetch(self.outputs[name]) if name in self.outputs else None

    def rows(self, name: str) -> RowFile | None:
        """Return an artifact of rows, or None where the task has none of that name."""
        if name not in self._files:
            path = self.path(name)
            if path is None or not path.is_file():
                return None
            self._files[name] = RowFile(path)
        return self._files[name]

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON artifact; empty where the task has none.

        Raises:
            DataError: When the file holds something else.
        """
        path = self.path(name)
        return read_json(path) if path else {}

    def artifacts(self) -> Iterator[tuple[str, Path]]:
        """Yield name and local path of every declared output that is there."""
        for name in self.outputs:
            path = self.path(name)
            if path is not None:
                yield name, path


class Run:
    """A run's tasks and artifacts; made by :func:`open_run`."""

    def __init__(self, uri: str) -> None:
        """Look below ``uri``; nothing is read until it is asked for."""
        self.uri = uri
        self._store = open_store(uri)
        self._local = locate(uri).scheme == "local"
        self._copies: dict[str, Path] = {}

    @cached_property
    def _folder_of_copies(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="refine-af-run-", ignore_cleanup_errors=True)

    @property
    def folder(self) -> Path | None:
        """Return the run's folder; None where it lies in a bucket."""
        return Path(self.uri) if self._local else None

    def _fetch(self, uri: str) -> Path:
        if self._local:
            return Path(uri)
        if uri not in self._copies:
            number = len(self._copies)
            target = Path(self._folder_of_copies.name, str(number), uri.rpartition("/")[2])
            target.parent.mkdir()
            self._store.download(uri, target)
            self._copies[uri] = target
        return self._copies[uri]

    @cached_property
    def tries(self) -> list[RunTask]:
        """Return every try of every task, in the order of the DAG, tries of one by their start."""
        folders = {
            folder: (names, self._records(folder, names))
            for folder, names in _task_folders(self._listing())
        }
        labels = _labels({folder: records for folder, (_, records) in folders.items()})
        tasks = [
            self._task(stage, labels[folder], folder, *present)
            for folder, present in folders.items()
            if (stage := _stage(folder, present[1])) is not None
        ]
        return sorted(tasks, key=lambda task: (_ORDER.index(task.stage.name), task.name))

    def _listing(self) -> "_Listing":
        root = self.uri.rstrip("/") or "/"
        files = self._store.list_files(f"{root}/{ARTIFACTS}")
        if files:
            return _Listing(f"{root}/{ARTIFACTS}", files)
        # a run on this machine that has not finished a task yet has only journals
        return _Listing(root, [] if self.spec else self._store.list_files(root))

    def _records(self, folder: str, names: Mapping[str, str]) -> _Records:
        uris = {name: f"{folder}/{names[name]}" for name in RECORDS if name in names}
        return {name: parse_object(self._store.read(uri), uri) for name, uri in uris.items()}

    def _task(
        self, stage: Stage, label: str, folder: str, names: Mapping[str, str], records: _Records
    ) -> RunTask:
        declared = [item.name for item in (*stage.outputs, *EVERY_STAGE_WRITES)]
        outputs = {name: f"{folder}/{names[name]}" for name in declared if name in names}
        gathered = any(path.startswith(_IN_RECORDS) for path in names.values())
        return RunTask(
            stage,
            task_folder(stage.name, label),
            folder,
            outputs,
            f"{folder}/{RECORDS_ARTIFACT.name}" if gathered else "",
            records,
            self._fetch,
        )

    @cached_property
    def tasks(self) -> list[RunTask]:
        """Return the tasks in the order of the DAG, tasks of one stage by name.

        Where a task was tried several times, its last finished try counts.

        Raises:
            DataError: When two tries of a task were of different runs.
        """
        by_name: dict[str, list[RunTask]] = {}
        for task in self.tries:
            by_name.setdefault(task.name, []).append(task)
        return [_last_finished(self.uri, tries) for tries in by_name.values()]

    def of(self, *stages: str) -> list[RunTask]:
        """Return the tasks of these stages, in the order of the DAG."""
        return [task for task in self.tasks if task.stage.name in stages]

    def task(self, name: str) -> RunTask | None:
        """Return the task of that name (``evaluate-rl``), or None."""
        return next((task for task in self.tasks if task.name == name), None)

    def arms(self, stage: str) -> list[str]:
        """Return the labels of a stage's tasks, sorted."""
        return sorted(task.label for task in self.of(stage))

    def files(self, artifact: str, *stages: str) -> Iterator[tuple[RunTask, RowFile]]:
        """Yield the rows called ``artifact`` of every task, of these stages where any is named."""
        for task in self.of(*stages) if stages else self.tasks:
            rows = task.rows(artifact)
            if rows is not None:
                yield task, rows

    def every_file(self) -> Iterator[tuple[RunTask, str, RowFile]]:
        """Yield every artifact of rows with its task and name."""
        for task in self.tasks:
            for item in task.stage.outputs:
                rows = task.rows(item.name) if item.kind == "rows" else None
                if rows is not None:
                    yield task, item.name, rows

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Return what ``run.json`` holds: configuration and planned tasks; empty without it."""
        uri = f"{self.uri.rstrip('/')}/{CONFIGURATION}"
        if not self._store.exists(uri):
            return {}
        return parse_object(self._store.read(uri), uri)

    @property
    def manifest(self) -> dict[str, Any]:
        """Return what the run read, as check_inputs wrote it; empty without that task."""
        tasks = self.of("check_inputs")
        return tasks[0].json("manifest") if tasks else {}

    def lacking(self) -> list[str]:
        """Return a sentence for each thing that local runs have and this one lacks."""
        lines = []
        if not self.spec:
            lines.append("no run.json: the configuration is read from the tasks' provenance")
        without = [task for task in self.tasks if "metrics" not in task.outputs]
        if without and len(without) == len(self.tasks):
            lines.append("no metrics among the files: KFP keeps them in its own database")
        return lines


@dataclass(frozen=True)
class _Listing:
    """All files of a run."""

    root: str
    files: list[str]

    def relative(self) -> Iterator[list[str]]:
        """Yield the parts of each file's name below the root."""
        start = self.root.rstrip("/") + "/"
        for uri in self.files:
            if uri.startswith(start):
                yield uri.removeprefix(start).split("/")


def open_run(uri: str | Path) -> Run:
    """Return the run at ``uri``.

    Raises:
        DataError: When no task has left artifacts there, or several runs have.
        ParameterError: For a scheme that is not allowed.
    """
    run = Run(str(uri))
    if not run.tries:
        raise DataError(
            f"{uri}: no artifacts of a run in it; name the output folder of a `refine-af run`,"
            " the folder of an Argo workflow or the folder of a KFP run"
        )
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no file.

    Raises:
        DataError: When the file holds something else.
    """
    return parse_object(path.read_bytes(), str(path)) if path.is_file() else {}


def _stage_of(folder: str) -> tuple[Stage, str] | None:
    """Return stage and label that a folder's name gives, such as ``train_sft-rl``.

    In KFP's ``train-sft-2`` the number takes the label's place; telemetry has the label itself.
    """
    plain = folder.replace("_", "-")
    for stage in _BY_LENGTH:
        if plain == stage.command or plain.startswith(f"{stage.command}-"):
            return stage, folder[len(stage.name) + 1 :]
    return None


def _stage(folder: str, records: _Records) -> Stage | None:
    """Return the stage that a task's records or, without them, the names of its folders give."""
    stated = next((value["stage"] for value in records.values() if "stage" in value), "")
    named = _named(folder)
    return _BY_NAME.get(stated) or (named[0] if named else None)


def _named(folder: str) -> tuple[Stage, str] | None:
    *_, parent, last = folder.split("/")
    return _stage_of(last) or _stage_of(parent)


def _labels(records: Mapping[str, _Records]) -> dict[str, str]:
    """Return the label of each task's folder.

    Tries that were killed have no telemetry; KFP puts all tries of one task into one folder, so
    they have the label of the others there.
    """
    stated = {
        folder: str(values["telemetry"]["label"])
        for folder, values in records.items()
        if values.get("telemetry", {}).get("label")
    }
    beside: dict[str, set[str]] = {}
    for folder, label in stated.items():
        beside.setdefault(folder.rpartition("/")[0], set()).add(label)
    labels = {}
    for folder, values in records.items():
        named = _named(folder)
        same = beside.get(folder.rpartition("/")[0], set())
        if folder in stated:
            labels[folder] = stated[folder]
        elif named is None or named[0] is not _stage(folder, values):
            labels[folder] = ""
        elif len(same) == 1 and not _stage_of(folder.rpartition("/")[2]):
            labels[folder] = next(iter(same))
        else:
            labels[folder] = named[1]
    return labels


def _task_folders(listing: _Listing) -> list[tuple[str, dict[str, str]]]:
    """Return every task's folder with the path of each output below it, by the output's name.

    Raises:
        DataError: When the folders belong to several runs.
    """
    folders: dict[tuple[str, ...], dict[str, str]] = {}
    for parts in listing.relative():
        depth = _depth(parts)
        if depth:
            names = folders.setdefault(tuple(parts[:depth]), {})
            below = parts[depth:]
            if below[0] != RECORDS_ARTIFACT.name:
                names[below[0]] = below[0]
            elif len(below) == 2:  # the task's own; those of earlier tasks lie deeper
                names[below[1]] = "/".join(below)
    _refuse_several(listing.root, list(folders))
    start = listing.root.rstrip("/")
    return [("/".join([start, *parts]), names) for parts, names in sorted(folders.items())]


def _depth(parts: list[str]) -> int:
    """Return the number of folders above an artifact's name; 0 for files of no task."""
    for at, part in enumerate(parts[:-1]):
        if at == 0 and part == "work":
            return 0  # journals
        stage = _stage_of(part)
        if stage is not None:
            items = (*stage[0].outputs, *EVERY_STAGE_WRITES, RECORDS_ARTIFACT)
            direct = parts[at + 1] in {item.name for item in items} or len(parts) == at + 2
            return at + 1 if direct else at + 2
    above = parts[:-2] if parts[-2:-1] == [RECORDS_ARTIFACT.name] else parts[:-1]
    return len(above) if len(above) in (1, 2) and parts[-1] in RECORDS else 0


def _refuse_several(root: str, folders: list[tuple[str, ...]]) -> None:
    """Refuse a folder above several runs."""
    above = set()
    for parts in folders:
        at = next((n for n, part in enumerate(parts) if _stage_of(part)), None)
        if at is not None and _stage_of(parts[at])[0].name == "check_inputs":  # type: ignore[index]
            above.add("/".join(parts[:at]))
    if len(above) > 1:
        raise DataError(
            f"{root}: it holds {len(above)} runs; name one of them: {', '.join(sorted(above)[:5])}"
        )


def _last_finished(root: str, tries: list[RunTask]) -> RunTask:
    """Return the try whose artifacts count; equal tries wrote equal bytes.

    Raises:
        DataError: When finished tries read other inputs or had other parameters.
    """
    ordered = sorted(tries, key=lambda task: (task.telemetry.get("started", 0.0), task.uri))
    finished = [task for task in ordered if "provenance" in task.outputs] or ordered
    for task in finished[:-1]:
        if task.provenance != finished[-1].provenance:
            raise DataError(
                f"{root}: {task.name} is there twice, with different parameters, inputs or code:"
                f" {task.uri} and {finished[-1].uri}; remove the one that is not of this run"
            )
    return finished[-1]


def check_arm(run: Run, stage: str, arm: str) -> RunTask:
    """Return the stage's task of an arm.

    Raises:
        ParameterError: For an arm that the run does not have.
    """
    arms = run.arms(stage)
    task = run.task(task_folder(stage, arm))
    if task is None:
        raise ParameterError(
            f"--arm {arm!r}: the run has no such arm;{nearest(arm, arms)} arms: {', '.join(arms)}"
        )
    return task
