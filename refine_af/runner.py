"""Runs one stage, for the KFP shim, the Argo container, the CLI and the API."""

import json
import platform
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from refine_af.contracts.content import EngineKind
from refine_af.contracts.credentials import refuse_credentials
from refine_af.contracts.errors import (
    EXIT_BUG,
    DataError,
    ParameterError,
    RefineAfError,
    missing_library,
    nearest,
)
from refine_af.contracts.jsonl import write_object
from refine_af.contracts.params import Params
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.stage import (
    BEFORE,
    EVERY_STAGE_WRITES,
    RECORDS,
    Metrics,
    Stage,
    Task,
    task_folder,
)
from refine_af.engines.borrowed import described_params
from refine_af.engines.memory import out_of_memory, shortage
from refine_af.engines.opening import PROMISED
from refine_af.engines.params import EngineParams
from refine_af.engines.text import TextEngine
from refine_af.identity import environment, stage_identity
from refine_af.processes.job import journal_of_job, leave_failure, rank_in_job
from refine_af.processes.launch import Job, train_on_nodes
from refine_af.processes.params import ProcessesParams
from refine_af.stages import STAGES
from refine_af.storage.atomic import disk_trouble
from refine_af.storage.entry import Identity, canonical
from refine_af.storage.journal import Entries, MemoryJournal, WorkJournal, open_journal
from refine_af.storage.location import join
from refine_af.storage.schemes import open_store
from refine_af.storage.sources import fetch
from refine_af.storage.task_records import add_records, write_records

Resume = Literal["if_possible", "always", "never"]


def find_stage(name: str) -> Stage:
    """Return the stage called ``name``."""
    by_name = {stage.name: stage for stage in STAGES}
    if name not in by_name:
        raise ParameterError(
            f"{name!r} is not a stage;{nearest(name, list(by_name))} stages: {', '.join(by_name)}"
        )
    return by_name[name]


def end_as_ctrl_c_does() -> None:
    """Let a request to end (SIGTERM, as Kubernetes and Docker send it) unwind the process.

    So the journal's lease is given back at once and the next attempt need not wait for its end.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def run_stage(
    name: str | Stage,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    params: Mapping[str, Any],
    work_dir: str = "",
    label: str = "",
    resume: Resume = "if_possible",
    engine: TextEngine | None = None,
) -> Metrics:
    """Run one stage and publish its outputs, all of them or none.

    Args:
        name: A stage of the registry, or a stage itself.
        inputs: Path or URI by input name; optional inputs may be absent or empty.
        outputs: Path or URI by output name; those that every stage writes may be absent.
        params: Raw values; unset ones take their defaults.
        work_dir: Where the journal lives (path or URI). With it a killed run continues and a
            finished one republishes; without it every run starts anew.
        label: Tells apart several tasks of one stage in progress reports (the arm).
        resume: ``if_possible``, ``always`` (refuse to start anew) or ``never``.
        engine: Answers instead of the engine that the parameters name, and is left open; ``model``
            and ``chat`` are then its own description where ``params`` does not set them.

    Returns:
        The stage's metrics.

    Raises:
        RefineAfError: With the exit code that tells whether a retry can help.
    """
    for role, uri in {**inputs, **outputs, "work_dir": work_dir}.items():
        refuse_credentials(role, uri)
    progress = StageProgress(name if isinstance(name, str) else name.name, label)
    progress.event("start")
    try:
        stage = find_stage(name) if isinstance(name, str) else name
        metrics = _run(stage, inputs, outputs, params, work_dir, resume, progress, label, engine)
    except RefineAfError as error:
        _failed(progress, str(error), error.exit_code)
        raise
    except Exception as error:
        if trouble := disk_trouble(error):
            _failed(progress, str(trouble), trouble.exit_code)
            raise trouble from error
        _failed(progress, f"{type(error).__name__}: {error}", EXIT_BUG)
        raise
    progress.event("end", **metrics)
    return metrics


def _failed(progress: StageProgress, message: str, exit_code: int) -> None:
    progress.event("fail", message=message, exit_code=exit_code)
    if journal_of_job():
        leave_failure(message, exit_code)


def _run(
    stage: Stage,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    params: Mapping[str, Any],
    work_dir: str,
    resume: Resume,
    progress: StageProgress,
    label: str,
    engine: TextEngine | None,
) -> Metrics:
    if engine is not None:
        _check_engine(stage, inputs)
        params = {**described_params(engine), **params}
    settings = stage.params.parse(dict(params), where=stage.name)
    _check_names(stage, inputs, outputs)
    settings.check_inputs([name for name, uri in inputs.items() if uri], where=stage.name)
    with tempfile.TemporaryDirectory(prefix="refine-af-") as folder:
        scratch = Path(folder)
        present = fetch_inputs(stage, inputs, scratch / "inputs")
        if rank_in_job():
            return _take_part(stage, settings, present, progress, scratch)
        identity = stage_identity(stage, settings, present, engine)
        if isinstance(settings, ProcessesParams) and settings.nodes > 1:
            if not journal_of_job():
                job = Job(stage, settings, identity, present, work_dir, label)
                train_on_nodes(job, resume, progress)
                resume = "if_possible"
            elif journal_of_job() != join(work_dir, identity.key):
                raise DataError(_another_job(identity))
        names = [artifact.name for artifact in (*stage.outputs, *EVERY_STAGE_WRITES)]
        staged = {name: scratch / "outputs" / name for name in names}
        for part in ("outputs", "work"):
            (scratch / part).mkdir()
        with open_journal(work_dir, identity, resume) if work_dir else MemoryJournal() as journal:
            task = Task(present, staged, journal, progress, scratch / "work", engine=engine)
            progress.watch(task.telemetry)
            staged["provenance"].write_bytes(_provenance(identity, engine))
            task.telemetry["label"] = label
            metrics = _execute_once(stage, settings, journal, task)
            if RECORDS.name in outputs:
                before = inputs.get(BEFORE.name, "")
                staged[RECORDS.name] = _records(stage, label, staged, before, scratch)
            publish_outputs(staged, outputs)
            return metrics


def _take_part(
    stage: Stage, settings: Params, inputs: Mapping[str, Path], progress: StageProgress, path: Path
) -> Metrics:
    """Work as a rank above 0 of a job, which has no outputs; the stage ends the process."""
    uri = journal_of_job()
    if not Entries(open_store(uri), uri).finished():  # else rank 0 has nothing to train either
        (path / "work").mkdir()
        outputs = {item.name: path / "outputs" / item.name for item in stage.outputs}
        stage.run(settings, Task(inputs, outputs, MemoryJournal(), progress, path / "work"))
    return {}


def _another_job(identity: Identity) -> str:
    return (
        f"this job was started for the journal {journal_of_job()}, and here the work has the key"
        f" {identity.key}: the image, an input or the model is not the one that the stage's pod has"
    )


def _check_engine(stage: Stage, inputs: Mapping[str, str]) -> None:
    """Refuse an engine of the caller's where the stage asks none, or wants it to load weights."""
    if not issubclass(stage.params, EngineParams):
        raise ParameterError(f"{stage.name} asks no text engine; leave out `engine`")
    if inputs.get("adapter"):
        raise ParameterError(
            f"{stage.name}: an engine of your own cannot apply the input 'adapter'; name the engine"
            " by its parameters"
        )


def _records(
    stage: Stage, label: str, staged: Mapping[str, Path], before: str, scratch: Path
) -> Path:
    """Gather the small files of the task, and those of the tasks before it."""
    folder = scratch / RECORDS.name
    own = {item.name: staged[item.name] for item in EVERY_STAGE_WRITES}
    shown = {name: staged[name] for name in stage.recorded}
    write_records(folder, task_folder(stage.name, label), own, shown)
    if before:
        (scratch / BEFORE.name).mkdir()
        add_records(folder, fetch(before, scratch / BEFORE.name))
    return folder


def _provenance(identity: Identity, engine: TextEngine | None) -> bytes:
    """Return what decided the rows, and how far the engine makes them the same again."""
    named = PROMISED.get(cast(EngineKind, identity.params.get("engine", "")))
    promised = engine.determinism if engine else named
    if promised is None:
        return identity.dump() + b"\n"
    return canonical(json.loads(identity.dump()) | {"determinism": promised}) + b"\n"


def _execute_once(
    stage: Stage,
    settings: Params,
    journal: WorkJournal | MemoryJournal,
    task: Task,
) -> Metrics:
    """Run the stage unless the journal holds its result or a permanent failure."""
    # a stage that is never cached checks external things, which may have changed
    if stage.cache and (failure := journal.failure()) and failure.cause == environment():
        kind = ParameterError if failure.exit_code == ParameterError.exit_code else DataError
        raise kind(
            f"{failure.message} (it failed so before, with the same parameters, inputs and"
            " software: change what the message names, or try again with --resume never)"
        )
    if stage.cache and journal.republish(task.outputs):
        task.progress.say("finished before with the same inputs and parameters: republished")
        return dict(json.loads(task.outputs["metrics"].read_text(encoding="utf-8")))
    try:
        metrics = _execute(stage, settings, task)
    except RefineAfError as error:
        if error.is_remembered:
            journal.fail(str(error), error.exit_code, environment())
        raise
    journal.finish(task.outputs, metrics)
    return metrics


def _execute(stage: Stage, settings: Params, task: Task) -> Metrics:
    started = time.time()
    clock = time.monotonic()
    try:
        metrics = stage.run(settings, task)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise shortage(error, stage.name, settings.model_dump()) from error
    except ModuleNotFoundError as error:
        extra = "" if stage.image == "core" else "[train]"
        remedy = (
            f"pip install 'refine-af{extra}' brings what the stage itself needs, and the image"
            f" refine-af-{stage.name} has it"
        )
        raise missing_library(error, stage.name, remedy) from error
    missing = [item.name for item in stage.outputs if not task.outputs[item.name].exists()]
    if missing:
        raise RuntimeError(f"stage {stage.name} returned without writing {', '.join(missing)}")
    write_object(task.outputs["metrics"], metrics)
    task.telemetry["seconds"] = time.monotonic() - clock
    task.telemetry["gpus"] = _gpus() * getattr(settings, "nodes", 1) if stage.resources.gpu else 0
    telemetry = {
        "stage": stage.name,
        "started": started,
        "host": platform.node(),
        "python": platform.python_version(),
        **task.telemetry,
    }
    write_object(task.outputs["telemetry"], telemetry)
    return metrics


def _gpus() -> int:
    """Return how many GPUs the task had, asked of torch only where the stage loaded it."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.device_count()) if torch else 0


def _check_names(stage: Stage, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    known = {artifact.name: artifact for artifact in stage.inputs}
    for name in inputs:
        if name not in known and name != BEFORE.name:
            raise ParameterError(f"{stage.name} has no input {name!r}; inputs: {', '.join(known)}")
    for name, artifact in known.items():
        if not artifact.optional and not inputs.get(name):
            raise ParameterError(f"{stage.name} needs the input {name!r}: {artifact.summary}")
    wanted = {artifact.name: artifact for artifact in stage.outputs}
    for name, artifact in wanted.items():
        if not (artifact.optional or outputs.get(name) or journal_of_job()):
            raise ParameterError(f"{stage.name} needs an address for its output {name!r}")
    for name in outputs:
        if name not in wanted and name not in [
            item.name for item in (*EVERY_STAGE_WRITES, RECORDS)
        ]:
            raise ParameterError(f"{stage.name} has no output {name!r}; outputs: {list(wanted)}")


def fetch_inputs(stage: Stage, inputs: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return a local path for each present input; remote ones are downloaded to ``folder``."""
    present: dict[str, Path] = {}
    for artifact in stage.inputs:
        uri = inputs.get(artifact.name, "")
        if not uri:
            continue
        target = folder / artifact.name
        target.mkdir(parents=True)
        try:
            present[artifact.name] = fetch(uri, target)
        except DataError as error:
            raise DataError(f"{stage.name}: input {artifact.name!r}: {error}") from None
    return present


def publish_outputs(staged: Mapping[str, Path], outputs: Mapping[str, str]) -> None:
    """Publish every staged output to its address; each appears whole, after all are complete."""
    for name, path in staged.items():
        uri = outputs.get(name)
        if not uri:
            continue
        store = open_store(uri)
        if path.is_dir():
            store.publish_directory(uri, path)
        else:
            store.publish(uri, path)
