"""Where a run stands: its tasks, from their artifacts and events, and its journals."""

from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import parse_object
from refine_af.contracts.stage import task_folder
from refine_af.lineage.mixture import mixed
from refine_af.lineage.run import Run
from refine_af.stages import STAGES
from refine_af.storage.journal import Entries, identities
from refine_af.storage.lease import LeaseRecord
from refine_af.storage.location import join
from refine_af.storage.schemes import open_store
from refine_af.storage.store import MissingObjectError, Store

WORK = "work"
EVENTS = "events.jsonl"
_ORDER = {stage.name: number for number, stage in enumerate(STAGES)}


def status_of(uri: str) -> dict[str, Any]:
    """Return where a run stands, or what a work folder's journals hold.

    Args:
        uri: Path or URI of a run, or a ``work_dir``.

    Raises:
        DataError: When neither is there.
    """
    run = Run(uri)
    tasks = tasks_of(run)
    work = _work_of(run) if tasks or run.spec else uri
    journals = journals_of(work) if work else []
    if not (tasks or run.spec or journals):
        raise DataError(
            f"{uri}: neither a run nor a journal in it; name the output folder of a `refine-af"
            " run`, the folder of an Argo workflow or KFP run, or a work_dir"
        )
    return {
        "folder": uri,
        "tasks": tasks,
        "journals": journals,
        "lacking": [] if run.spec or not tasks else [*run.lacking(), _NO_JOURNALS],
        "mixed": mixed(run),
    }


_NO_JOURNALS = "the journals of a cluster's run are in its work_dir; give that to see them"


def _work_of(run: Run) -> str:
    if not run.spec:
        return ""
    parameters = run.spec.get("config", {}).get("parameters", {})
    return parameters.get("work_dir") or f"{run.uri.rstrip('/')}/{WORK}"


def tasks_of(run: Run) -> list[dict[str, Any]]:
    """Return the tasks of a run in the order of the DAG, as far as the run has noted them.

    ``state`` is ``finished``, ``running or killed`` (it began and has not ended; its journal says
    which), ``failed`` or ``waiting``. A cluster's folder shows only tasks that began.
    """
    latest = _latest_events(run.folder / EVENTS) if run.folder else {}
    finished = {task.name: task.title for task in run.tasks if "provenance" in task.outputs}
    begun = {task.name: task.title for task in run.tries}
    planned = run.spec.get("tasks") or list(latest) or list((finished | begun).values())
    tasks = [_task(name, latest.get(name, {}), finished, begun) for name in planned]
    return sorted(tasks, key=lambda task: _ORDER.get(task["task"].split(" ")[0], len(_ORDER)))


def _latest_events(path: Path) -> dict[str, dict[str, Any]]:
    """Return what the events say of each task, by its name, in the order of their starts."""
    latest: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return latest
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw:
            continue
        try:
            event = parse_object(raw, f"{path}:{number}")
        except DataError:
            continue  # the last line of a killed process may be cut off
        label = f" ({event['label']})" if event.get("label") else ""
        latest.setdefault(f"{event['stage']}{label}", {})[event["event"]] = event
    return latest


def _task(
    title: str, events: dict[str, Any], finished: dict[str, str], begun: dict[str, str]
) -> dict[str, Any]:
    stage, _, label = title.rstrip(")").partition(" (")
    name = task_folder(stage, label)
    task: dict[str, Any] = {"task": title, "state": "waiting"}
    if "fail" in events:
        task |= {"state": "failed", "message": events["fail"]["message"]}
    elif "end" in events or (not events and name in finished):
        task |= {"state": "finished"}
    elif events or name in begun:
        task |= {"state": "running or killed"}
    if "step" in events and task["state"] != "finished":
        step = events["step"]
        task |= {key: step[key] for key in ("done", "total", "unit", "eta")}
    return task


def journals_of(work_dir: str) -> list[dict[str, Any]]:
    """Return key, stage and state of every journal below a work folder, by stage and key.

    ``state`` is ``finished``, ``failed``, ``running`` (a live process holds the lease) or
    ``interrupted``; ``steps`` is what a continued run will not do again.
    """
    store = open_store(work_dir)
    journals = []
    for identity in identities(store, work_dir):
        root = join(work_dir, identity.key)
        journals.append({"key": identity.key, "stage": identity.stage, **_journal(store, root)})
    return sorted(journals, key=lambda journal: (journal["stage"], journal["key"]))


def _journal(store: Store, root: str) -> dict[str, Any]:
    journal = Entries(store, root)
    lease = LeaseRecord.load(_read(store, join(root, "lease.json")) or b"")
    steps = len(store.list_files(join(root, "steps"))) + len(
        store.list_files(join(root, "folders"))
    )
    state: dict[str, Any] = {"state": "interrupted", "steps": steps}
    if lease is not None and lease.live:
        state |= {"state": "running", "by": lease.describe()}
    elif (failure := journal.failure()) is not None:
        state |= {"state": "failed", "message": failure.message}
    elif journal.finished() is not None:
        state |= {"state": "finished"}
    return state


def _read(store: Store, uri: str) -> bytes | None:
    try:
        return store.read(uri)
    except MissingObjectError:
        return None


def status_lines(status: dict[str, Any]) -> list[str]:
    """Return the status for people."""
    tasks, journals = status["tasks"], status["journals"]
    lines = [_task_line(task) for task in tasks]
    lines += [""] if lines else []
    lines += [_journal_line(journal) for journal in journals]
    lines += [f"note: {text}" for text in status["lacking"]]
    lines += [f"of another configuration: {text}" for text in status["mixed"]]
    running = any(journal["state"] == "running" for journal in journals)
    unfinished = any(journal["state"] in ("interrupted", "running") for journal in journals)
    if tasks and all(task["state"] == "finished" for task in tasks):
        lines.append(_closing(status))
    elif running:
        lines.append("a process is at work")
    elif tasks or unfinished:
        lines.append("not finished and nobody is at work: the same command continues it")
    return lines


def _closing(status: dict[str, Any]) -> str:
    if status["mixed"]:
        return "a mixture of configurations: run `refine-af run` again with one of them"
    return "the run is finished" if _whole(status) else "no report yet"


def _whole(status: dict[str, Any]) -> bool:
    """Return whether a run that names no plan has come to its last task, the report."""
    names = [task["task"] for task in status["tasks"]]
    return not status["lacking"] or any(name.startswith("report") for name in names)


def _task_line(task: dict[str, Any]) -> str:
    line = f"{task['task']:32} {task['state']}"
    if "done" in task:
        line += f", {task['done']} of {task['total']} {task['unit']}"
    return line + (f": {task['message']}" if "message" in task else "")


def _journal_line(journal: dict[str, Any]) -> str:
    line = f"journal {journal['key'][:12]} {journal['stage']:22} {journal['state']},"
    line += f" {journal['steps']} steps kept"
    line += f", {journal['by']}" if "by" in journal else ""
    return line + (f": {journal['message']}" if "message" in journal else "")
