"""How a run ended, in one vocabulary, from what each engine tells its exit task."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["succeeded", "failed", "cancelled"]

SUCCEEDED = ("SUCCEEDED", "COMPLETE", "COMPLETED", "CACHED")
"""``COMPLETE`` is KFP 2.17's word, ``SUCCEEDED`` that of later ones and of Argo."""

CANCELLED = ("CANCELED", "CANCELLED", "CANCELING", "TERMINATED", "RUNNING", "PENDING", "PAUSED")
"""An exit task runs when all others have ended: a run without a final state was cancelled."""

STOPPED = "shutdown with strategy"
"""Argo calls a run ``Failed`` that somebody stopped or terminated; its nodes say why."""

_EXIT = re.compile(r"^main: Error \(exit code \d+\)(?:: )?(?=.)")
_TRY = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        state: In one vocabulary for all engines.
        task: Which task failed first; empty where none did or the engine does not tell.
        error: Why, as far as the engine tells.
        resource: The engine's own name of the run; may be empty.
    """

    state: State
    task: str = ""
    error: str = ""
    resource: str = ""


def read_ending(final_status: str, failures: str = "") -> Ending:
    """Return how a run ended.

    Args:
        final_status: Argo's word (``Succeeded``), or KFP's ``PipelineTaskFinalStatus`` as JSON.
        failures: Argo's ``workflow.failures``: a list of nodes as JSON, possibly quoted once more.
    """
    if final_status.startswith("{"):
        return _of_kfp(json.loads(final_status))
    nodes = _nodes(failures)
    if any(STOPPED in str(node.get("message", "")) for node in nodes):
        return Ending("cancelled", error="stopped by a person or a program")
    state = _state(final_status)
    return Ending(state) if state != "failed" else _failed(nodes)


def _state(word: str) -> State:
    word = word.upper()
    if word in SUCCEEDED:
        return "succeeded"
    return "cancelled" if word in CANCELLED else "failed"


def _of_kfp(status: dict[str, Any]) -> Ending:
    error = str(status.get("error_message") or "")
    resource = str(status.get("pipeline_job_resource_name") or "").rpartition("/")[2]
    return Ending(_state(str(status.get("state") or "")), error=error, resource=resource)


def _nodes(failures: str) -> list[dict[str, Any]]:
    try:
        nodes = json.loads(failures or "[]")
        if isinstance(nodes, str):
            nodes = json.loads(nodes)
    except ValueError:
        return []
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _failed(nodes: list[dict[str, Any]]) -> Ending:
    """Return the task that failed first, by the last of its tries."""
    explained = [
        node for node in nodes if node.get("message") and _TRY.search(str(node["displayName"]))
    ]
    explained = explained or [node for node in nodes if node.get("message")]
    if not explained:
        return Ending("failed")
    first = min(explained, key=lambda node: str(node.get("finishedAt", "")))
    task = _TRY.sub("", str(first["displayName"]))
    tries = [node for node in explained if _TRY.sub("", str(node["displayName"])) == task]
    last = max(tries, key=lambda node: str(node.get("finishedAt", "")))
    return Ending("failed", task=task, error=_EXIT.sub("", str(last["message"])))
