"""Ends what a run left behind that lost its command or its runner."""

from contextlib import suppress
from pathlib import Path

import psutil

from refine_af.processes.together import GRACE_SECONDS, LOCK, PARENTS, POLL_SECONDS, identities
from refine_af.storage.lease import is_gone


def end_left_over(lock: Path) -> None:
    """End the processes on this machine of a run that lost one above them, within seconds.

    They end by themselves (:func:`join_run`); what is deaf, because it has only just started or
    does not leave a library's call, is killed.
    """
    _, deaf = psutil.wait_procs(_left_over(lock), timeout=GRACE_SECONDS + 2 * POLL_SECONDS)
    while deaf:
        for process in deaf:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(deaf, timeout=POLL_SECONDS)
        deaf = _left_over(lock)


def _left_over(lock: Path) -> list[psutil.Process]:
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(LOCK) == str(lock) and process.status() != psutil.STATUS_ZOMBIE:
                above = identities(environment.get(PARENTS, ""))
                processes += [process] if any(map(is_gone, above)) else []
    return processes
