"""``refine-af run --resume``: whether an earlier run in the folder is continued."""

import json
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, JournalMismatchError
from refine_af.contracts.jsonl import parse_object
from refine_af.lineage.configuration import flat
from refine_af.storage.journal import Resume

ABSENT = "absent"


def resume_environment(resume: Resume, output: Path, spec: dict[str, Any]) -> dict[str, str]:
    """Return the environment that tells stages how to use their journals.

    ``always`` holds for every task that the earlier run had started: it must find its own journal.
    Tasks that it had not reached begin.

    Args:
        resume: What the person asked for.
        output: The run's folder, as the earlier run left it.
        spec: What ``run.json`` will hold.

    Raises:
        JournalMismatchError: For ``always``, when there is no earlier run or it had another
            configuration or code; the message lists the differences.
    """
    if resume == "always":
        _refuse_another_run(output, spec)
    return {
        "REFINE_AF_RESUME": resume,
        "REFINE_AF_STARTED": json.dumps(started_tasks(output / "events.jsonl")),
    }


def started_tasks(events: Path) -> list[str]:
    """Return the names of the tasks that an earlier run had started, in that order."""
    tasks: dict[str, None] = {}
    for raw in events.read_bytes().split(b"\n") if events.is_file() else ():
        try:
            event = parse_object(raw, str(events)) if raw else {}
        except DataError:
            continue  # cut off by the kill
        if event.get("event") == "start":
            label = f" ({event['label']})" if event["label"] else ""
            tasks[f"{event['stage']}{label}"] = None
    return list(tasks)


def _refuse_another_run(output: Path, spec: dict[str, Any]) -> None:
    path = output / "run.json"
    if not path.is_file():
        raise JournalMismatchError(
            f"--resume always: there is no run in {output}; name the folder of the earlier run, or"
            " use --resume if_possible"
        )
    earlier = parse_object(path.read_bytes(), str(path))
    before = flat({key: earlier.get(key) for key in ("code", "config")})
    now = flat({key: spec[key] for key in ("code", "config")})
    differences = [
        f"{name}: {now.get(name, ABSENT)!r}, not {before.get(name, ABSENT)!r}"
        for name in sorted(now.keys() | before.keys())
        if now.get(name, ABSENT) != before.get(name, ABSENT)
    ]
    if differences:
        raise JournalMismatchError(
            f"--resume always: the run in {output} differs in {'; '.join(differences)}; restore"
            " these values, or use --resume if_possible to compute again what they decide"
        )
