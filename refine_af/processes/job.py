"""What a process knows of the job of several nodes that it is a part of.

The job's controller starts ``torchrun`` on each node, and ``torchrun`` starts the ranks there, each
with the same command: that of the stage. Rank 0 keeps the journal, the others only train.
"""

import json
import os
from contextlib import suppress

from refine_af.contracts.errors import RefineAfError
from refine_af.storage.location import join
from refine_af.storage.schemes import open_store
from refine_af.storage.store import DamagedError, MissingObjectError

JOURNAL_VARIABLE = "REFINE_AF_JOB_JOURNAL"
"""Environment variable with the URI of the journal that the job's rank 0 keeps."""


def journal_of_job() -> str:
    """Return the URI of the job's journal; empty in a process that is not part of a job."""
    return os.environ.get(JOURNAL_VARIABLE, "")


def rank_in_job() -> int:
    """Return this process's rank, as ``torchrun`` numbers it over all nodes."""
    return int(os.environ.get("RANK", "0")) if journal_of_job() else 0


def leave_failure(message: str, exit_code: int) -> None:
    """Leave why this rank failed for the pod that watches the job; the first one of a job stays."""
    uri = _failure_of(journal_of_job())
    data = json.dumps({"message": message, "exit_code": exit_code}).encode()
    with suppress(RefineAfError):  # the store may be what failed
        open_store(uri).swap(uri, data, None)


def read_failure(journal: str) -> tuple[str, int]:
    """Return message and exit code of the first rank that failed; an empty message where none."""
    uri = _failure_of(journal)
    try:
        value = json.loads(open_store(uri).read(uri))
    except (MissingObjectError, DamagedError):
        return "", 0
    return str(value["message"]), int(value["exit_code"])


def forget_failure(journal: str) -> None:
    """Remove what an earlier job left."""
    uri = _failure_of(journal)
    open_store(uri).delete(uri)


def _failure_of(journal: str) -> str:
    return join(journal, "failure-of-job.json")
