"""How the tasks of a run ended, kept in its work folder for the exit task, which KFP tells little.

Below ``<work_dir>/endings/<run>/``: ``failed/<task>`` while the last try of a task failed, and
``result``, the report's.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from refine_af.contracts.jsonl import parse_object
from refine_af.storage.schemes import open_store

RUN_VARIABLE = "KFP_RUN_ID"
"""Holds the run's id in the pods of KFP; elsewhere nothing is kept."""


class Endings:
    """The endings of one run; without a work folder or a run's id it keeps and reads nothing."""

    def __init__(self, work_dir: str) -> None:
        run = os.environ.get(RUN_VARIABLE, "")
        self._folder = f"{work_dir.rstrip('/')}/endings/{run}" if work_dir and run else ""

    def failed(self, task: str, message: str) -> None:
        """Keep why a task failed."""
        if self._folder:
            entry = {"task": task, "error": message, "at": time.time()}
            self._publish(f"failed/{task}", json.dumps(entry).encode())

    def succeeded(self, task: str, result: Path | None = None) -> None:
        """Forget an earlier try's failure; keep the result where the task is the report."""
        if not self._folder:
            return
        uri = f"{self._folder}/failed/{task}"
        store = open_store(uri)
        if store.exists(uri):
            store.delete(uri)
        if result is not None:
            self._publish("result", result.read_bytes())

    def first_failure(self) -> dict[str, Any]:
        """Return ``task`` and ``error`` of what failed first; empty where nothing is kept."""
        if not self._folder:
            return {}
        root = f"{self._folder}/failed"
        store = open_store(root)
        kept = [parse_object(store.read(uri), uri) for uri in store.list_files(root)]
        return min(kept, key=lambda entry: float(entry["at"]), default={})

    def result(self) -> dict[str, Any]:
        """Return the report's result; empty where none is kept."""
        uri = f"{self._folder}/result"
        if not self._folder or not open_store(uri).exists(uri):
            return {}
        return parse_object(open_store(uri).read(uri), uri)

    def _publish(self, name: str, data: bytes) -> None:
        uri = f"{self._folder}/{name}"
        open_store(uri).publish_bytes(uri, data)
