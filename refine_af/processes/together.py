"""Ends all processes of a run together: the command, its runner, the stages and their ranks.

A process passes its own identity to those that it starts, because a shell may run in between.
Each watches all of them and ends when one is gone. Each also holds a share of the run's lock, so
that the next run in the folder waits until the last process of this one has ended.
"""

import ctypes
import fcntl
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from refine_af.contracts.errors import EXIT_BUG, LeaseHeldError
from refine_af.storage.lease import ProcessIdentity, is_gone, this_process

PARENTS = "REFINE_AF_PARENTS"
"""Environment variable with the processes above this one, as JSON."""

LOCK = "REFINE_AF_RUN_LOCK"
"""Environment variable with the path of the run's lock."""

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""Seconds for a stage to release its lease."""

WAIT_SECONDS = 30.0
"""Seconds that a new run waits for the processes of the last one."""

_PR_SET_PDEATHSIG = 1


def hand_on() -> dict[str, str]:
    """Return the variables of a process that shall end when this one, or one above it, does."""
    return {PARENTS: json.dumps([asdict(process) for process in (*_above(), this_process())])}


def take_lock(path: Path) -> int:
    """Return the descriptor of the run's lock once nobody else holds a share of it.

    Raises:
        LeaseHeldError: When processes of an earlier run in the folder do not end.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise LeaseHeldError(
                    f"{path}: processes of an earlier run in this folder are still at work; wait"
                    " for them to end, or choose another folder"
                ) from None
            time.sleep(POLL_SECONDS)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def join_run(*, grace_seconds: float = GRACE_SECONDS) -> None:
    """End this process soon after one of those above it, and hold the run's lock until then.

    Does nothing in a process that no run has started.

    Args:
        grace_seconds: Between the request to end (SIGTERM) and the end.
    """
    if path := os.environ.get(LOCK):
        with suppress(OSError):  # the folder of the run is not seen from here
            fcntl.flock(os.open(path, os.O_RDWR | os.O_CLOEXEC), fcntl.LOCK_SH)
    if above := _above():
        arguments = (above, grace_seconds)
        threading.Thread(target=_watch, args=arguments, name="parents", daemon=True).start()


def die_with_parent() -> None:
    """Have the kernel (Linux) kill this process when the thread that started it ends.

    For ranks that may be inside a library's call when their parent dies, where no Python thread
    runs.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _above() -> list[ProcessIdentity]:
    return identities(os.environ.get(PARENTS, ""))


def identities(text: str) -> list[ProcessIdentity]:
    """Return the processes that a value of :data:`PARENTS` names."""
    return [ProcessIdentity(**process) for process in json.loads(text or "[]")]


def _watch(above: list[ProcessIdentity], grace_seconds: float) -> None:
    while not any(is_gone(process) for process in above):
        time.sleep(POLL_SECONDS)
    os.write(2, b"refine-af: the process that started this one is gone; ending\n")
    if grace_seconds:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
    os._exit(EXIT_BUG)
