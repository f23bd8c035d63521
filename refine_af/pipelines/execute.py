"""``refine-af run``: resolves a configuration, runs the pipeline locally, shows the result."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from refine_af.contracts.errors import EXIT_BUG, ParameterError, RefineAfError
from refine_af.contracts.progress import EVENTS_VARIABLE
from refine_af.identity import code_version
from refine_af.lineage.digest_list import PAGE, write_digest_list
from refine_af.lineage.overview import run_line
from refine_af.lineage.run import CONFIGURATION, Run
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.containers import check_images
from refine_af.pipelines.containers import end as end_containers
from refine_af.pipelines.display import Display
from refine_af.pipelines.flow import Images
from refine_af.pipelines.left_over import end_left_over
from refine_af.pipelines.resume import resume_environment
from refine_af.pipelines.succession import NEXT, take_place, working_folder
from refine_af.pipelines.tasks import planned
from refine_af.processes.together import LOCK, hand_on, take_lock
from refine_af.storage.atomic import write_bytes
from refine_af.storage.journal import Resume
from refine_af.storage.lease import LEASE_SECONDS, Lease
from refine_af.storage.schemes import open_store

POLL_SECONDS = 0.2
LEASE = "lease.json"
LOCK_FILE = ".refine-af-run.lock"
END_SECONDS = 20.0  # seconds for a stage to release its lease, or for its container to stop


@dataclass(frozen=True)
class RunRequest:
    """What a person asked for.

    Attributes:
        config: Preset, file and ``--set`` together.
        output_dir: Where artifacts, journals and the log go.
        only: Task to run alone on the artifacts of an earlier run in ``output_dir``.
        since: Task to start from, likewise.
        resume: Whether journals of an earlier run are continued.
        images: Run every task in its container; None runs it as a process of this environment.
        replace: Whether a run of another configuration in the folder may be replaced.
        preset: Name of the preset, for people; empty with a file of the user's own.
        price_per_gpu_hour: Shows money while it runs, where given.
    """

    config: RunConfig
    output_dir: Path
    only: str = ""
    since: str = ""
    resume: Resume = "if_possible"
    images: Images | None = None
    replace: bool = False
    preset: str = ""
    price_per_gpu_hour: float | None = None


class RunFailedError(RefineAfError):
    """A task failed; carries its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run(request: RunRequest, console: Console) -> dict[str, Any]:
    """Run the pipeline and return the report's result.

    Raises:
        RunFailedError: With the message and exit code of the task that failed.
        LeaseHeldError: When another process runs in the folder.
        JournalMismatchError: See :func:`refine_af.pipelines.resume.resume_environment`.
    """
    output = prepare_folder(request.output_dir)
    tasks = pipeline_tasks(request.config)
    reuse, only = choose_tasks(request, tasks)
    if request.images:
        check_images(request.images, [name.split(" ")[0] for name in only or tasks])
    config = located(request.config, output)
    spec = {
        "config": config.model_dump(mode="json"),
        "output_dir": str(output),
        "tasks": tasks,
        "reuse": reuse,
        "only": only,
        "earlier": str(output),
        "code": code_version(),
        "images": asdict(request.images) if request.images else None,
        "preset": request.preset,
        "planned": {task.name: task.params.method_values() for task in planned(config)},
    }
    lease = Lease(open_store(str(output)), str(output / LEASE), "refine-af run", LEASE_SECONDS)
    with lease:
        if request.images:
            for folder in (output, output / NEXT):
                end_containers(folder, END_SECONDS)
        end_left_over(output / LOCK_FILE)
        lock = take_lock(output / LOCK_FILE)
        try:
            return _run(request, spec, console)
        finally:
            os.close(lock)


def _run(request: RunRequest, spec: dict[str, Any], console: Console) -> dict[str, Any]:
    """Run the pipeline in a folder that this process alone may write."""
    output, tasks, only = Path(spec["output_dir"]), spec["tasks"], spec["only"]
    environment = resume_environment(request.resume, _latest(output), spec)
    environment[LOCK] = str(output / LOCK_FILE)
    again = None if only is None else {name.split(" ")[0] for name in only}
    work = working_folder(output, spec["config"], again, request.replace)
    spec["output_dir"] = str(work)
    (work / CONFIGURATION).write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    events = work / "events.jsonl"
    events.unlink(missing_ok=True)
    shown = tasks if only is None else [name for name in tasks if name in only]
    with Display(shown, events, console, request.price_per_gpu_hour) as display:
        code = _follow(work, events, display, environment)
    if code != 0:
        raise _failure(display.view.failure, work)
    _copy_report(work, request.preset)
    digest = write_digest_list(work)
    take_place(work, output)
    return _result(output) | {"digest": digest}


def _latest(output: Path) -> Path:
    """Return where the last run in a folder worked: a successor that did not come to its end."""
    work = output / NEXT
    return work if (work / CONFIGURATION).is_file() else output


def _copy_report(output: Path, preset: str) -> None:
    """Put the report where a browser knows a page by its ending; KFP's artifacts have none.

    A link does not work: Chromium goes by the name of its target and shows the source. The copy
    says when the run was; the artifact does not, so that equal runs have equal artifacts.
    """
    when = run_line(Run(str(output))).started
    facts = {"preset": preset, "started": f"{when} UTC" if when else ""}
    line = " ".join(
        f"<span><b>{name}</b> {escape(value)}</span>" for name, value in facts.items() if value
    )
    (output / PAGE).unlink(missing_ok=True)
    page = output / "artifacts" / "report" / "report"
    if page.exists():
        text = page.read_text(encoding="utf-8").replace("<!-- when -->", line, 1)
        write_bytes(output / PAGE, text.encode())


def prepare_folder(path: Path) -> Path:
    """Return the absolute output folder after proving that it can be written."""
    folder = path.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ParameterError(
            f"--output-dir {path}: cannot be written ({error.strerror}); choose another folder"
        ) from None
    return folder


def pipeline_tasks(config: RunConfig) -> list[str]:
    """Return the names of all tasks of a configuration, in the order of the DAG."""
    return [task.name for task in planned(config)]


def choose_tasks(
    request: RunRequest, tasks: list[str]
) -> tuple[dict[str, dict[str, str]], list[str] | None]:
    """Return the artifacts to reuse by task, and the tasks to run (None: all)."""
    if not request.only and not request.since:
        return {}, None
    from refine_af.pipelines.earlier import choose, reusable

    chosen = choose(tasks, request.only, request.since)
    others = [name for name in tasks if name not in chosen]
    return reusable(str(request.output_dir.absolute()), others), chosen


def located(config: RunConfig, output: Path) -> RunConfig:
    """Return the configuration with a work folder, and local paths as the person meant them.

    Tasks run in another folder, so a relative path has to be made absolute here.
    """
    parameters = {"work_dir": str(output / "work")} | {
        name: value for name, value in config.parameters.items() if value or name != "work_dir"
    }
    stages = {
        stage: {name: _absolute(name, value) for name, value in values.items()}
        for stage, values in config.stages.items()
    }
    parameters = {name: _absolute(name, value) for name, value in parameters.items()}
    return config.model_copy(update={"parameters": parameters, "stages": stages})


def _absolute(name: str, value: Any) -> Any:  # noqa: ANN401  any parameter's value
    names_a_place = name.endswith(("_uri", "model")) or name == "work_dir"
    if not names_a_place or not isinstance(value, str) or "://" in value or not value:
        return value
    is_local = name == "work_dir" or Path(value).exists()
    return str(Path(value).absolute()) if is_local else value


def _follow(output: Path, events: Path, display: Display, resume: dict[str, str]) -> int:
    """Run the pipeline in a process of its own and return its exit code.

    Temporary files of the run are in one folder below ``TMPDIR``, which goes with the run: KFP
    leaves a folder per task, and a stage that is killed its own.
    """
    with tempfile.TemporaryDirectory(
        prefix="refine-af-run-", ignore_cleanup_errors=True
    ) as temporary:
        return _follow_in(output, events, display, resume | {"TMPDIR": temporary})


def _follow_in(output: Path, events: Path, display: Display, own: dict[str, str]) -> int:
    # OpenMP's threads spin while they wait: with another busy process on two cores a stage takes
    # 1.7 times as long (13.4 s against 8.0, generation); asleep they cost 17 % on a quiet one.
    environment = {"OMP_WAIT_POLICY": "passive"} | os.environ | {EVENTS_VARIABLE: str(events)} | own
    environment |= hand_on()
    command = [sys.executable, "-m", "refine_af.pipelines.local", str(output / "run.json")]
    with (output / "run.log").open("wb") as log:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        process = subprocess.Popen(  # noqa: S603  our own module
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=output
        )
        try:
            while process.poll() is None:
                display.refresh()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            _end_with_descendants(process.pid)
            process.wait()
            raise
    if process.returncode < 0:  # killed: the stages that it started are still there
        end_left_over(Path(own[LOCK]))
    return process.returncode


def _end_with_descendants(pid: int) -> None:
    """Ask a process and all below it to end, so that stages give their leases back; then kill.

    SIGTERM and not SIGINT, which everything ignores that a script put into the background. What
    has started meanwhile is killed too, hence from the top down.
    """
    top = psutil.Process(pid)
    processes = _with_descendants(top)
    for process in reversed(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    for child in alive:
        for process in _with_descendants(child):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _with_descendants(top: psutil.Process) -> list[psutil.Process]:
    """Return a process and all below it; none where it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [top, *top.children(recursive=True)]
    return []


def _failure(event: dict[str, Any], output: Path) -> RunFailedError:
    if event:
        name = f"{event['stage']} ({event['label']})" if event["label"] else event["stage"]
        where = "" if event["exit_code"] != EXIT_BUG else f" (a bug; see {output / 'run.log'})"
        return RunFailedError(f"{name}: {event['message']}{where}", event["exit_code"])
    log = output / "run.log"
    tail = log.read_text(encoding="utf-8", errors="replace").strip().split("\n")[-12:]
    return RunFailedError(
        "a task broke; the end of " + str(log) + ":\n" + "\n".join(tail), EXIT_BUG
    )


def _result(output: Path) -> dict[str, Any]:
    path = output / "artifacts" / "report" / "result"
    if not path.exists():
        return {}
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result
