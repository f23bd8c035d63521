"""Where a run stands: its tasks, from their artifacts and events, and its journals."""

from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import parse_object
from refine_af.lineage.digest_list import CONFIGURATION
from refine_af.lineage.run_folder import ARTIFACTS, read_json
from refine_af.storage.journal import Entries, identities
from refine_af.storage.lease import LeaseRecord
from refine_af.storage.location import join, locate
from refine_af.storage.schemes import open_store
from refine_af.storage.store import MissingObjectError, Store

WORK = "work"
EVENTS = "events.jsonl"


def status_of(uri: str) -> dict[str, Any]:
    """Return where the run in a folder stands, or what a work folder's journals hold.

    Args:
        uri: Output folder of ``refine-af run``, or a ``work_dir`` (path or URI).

    Raises:
        DataError: When neither is there.
    """
    local = locate(uri).scheme == "local"
    folder = Path(uri)
    is_run = local and any((folder / name).exists() for name in (ARTIFACTS, EVENTS, CONFIGURATION))
    work = _work_of(folder) if is_run else uri
    journals = journals_of(work)
    if not is_run and not journals:
        raise DataError(
            f"{uri}: neither a run nor a journal in it; name the output folder of a `refine-af"
            " run`, or a work_dir"
        )
    return {"folder": uri, "tasks": tasks_of(folder) if is_run else [], "journals": journals}


def _work_of(folder: Path) -> str:
    parameters = read_json(folder / CONFIGURATION).get("config", {}).get("parameters", {})
    return parameters.get("work_dir") or str(folder / WORK)


def tasks_of(folder: Path) -> list[dict[str, Any]]:
    """Return the tasks of a run in the order of the DAG, as far as the run has noted them.

    ``state`` is ``finished``, ``running or killed`` (it began and has not ended; its journal says
    which), ``failed`` or ``waiting``.
    """
    latest = _latest_events(folder / EVENTS)
    planned = read_json(folder / CONFIGURATION).get("tasks") or list(latest)
    return [_task(folder, name, latest.get(name, {})) for name in planned]


def _latest_events(path: Path) -> dict[str, dict[str, Any]]:
    """Return what the events say of each task, by its name, in the order of their starts."""
    found: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return found
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw:
            continue
        try:
            event = parse_object(raw, f"{path}:{number}")
        except DataError:
            continue  # the last line of a killed process may be cut off
        label = f" ({event['label']})" if event.get("label") else ""
        found.setdefault(f"{event['stage']}{label}", {})[event["event"]] = event
    return found


def _task(folder: Path, name: str, events: dict[str, Any]) -> dict[str, Any]:
    place = folder / ARTIFACTS / name.replace(" (", "-").replace(")", "").replace(" ", "-")
    task: dict[str, Any] = {"task": name, "state": "waiting"}
    if "fail" in events:
        task |= {"state": "failed", "message": events["fail"]["message"]}
    elif "end" in events or (not events and (place / "metrics").is_file()):
        task |= {"state": "finished"}
    elif events:
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
    found = []
    for identity in identities(store, work_dir):
        root = join(work_dir, identity.key)
        found.append({"key": identity.key, "stage": identity.stage, **_journal(store, root)})
    return sorted(found, key=lambda one: (one["stage"], one["key"]))


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


def status_lines(found: dict[str, Any]) -> list[str]:
    """Return the status for people."""
    lines = [_task_line(task) for task in found["tasks"]]
    lines += [""] if lines else []
    lines += [_journal_line(one) for one in found["journals"]]
    running = any(one["state"] == "running" for one in found["journals"])
    open_ = any(one["state"] in ("interrupted", "running") for one in found["journals"])
    if found["tasks"] and all(task["state"] == "finished" for task in found["tasks"]):
        lines.append("the run is finished")
    elif running:
        lines.append("a process is at work")
    elif found["tasks"] or open_:
        lines.append("not finished and nobody is at work: the same command continues it")
    return lines


def _task_line(task: dict[str, Any]) -> str:
    line = f"{task['task']:32} {task['state']}"
    if "done" in task:
        line += f", {task['done']} of {task['total']} {task['unit']}"
    return line + (f": {task['message']}" if "message" in task else "")


def _journal_line(one: dict[str, Any]) -> str:
    line = f"journal {one['key'][:12]} {one['stage']:22} {one['state']}, {one['steps']} steps kept"
    line += f", {one['by']}" if "by" in one else ""
    return line + (f": {one['message']}" if "message" in one else "")
