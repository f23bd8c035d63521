"""Who this process is, precisely enough to know later that it is gone."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_DEAD = ("Z", "X", "x")
"""States of Linux's proc(5): ended and not waited for, or about to vanish."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process.

    Attributes:
        host: Host name, boot and process namespace, so that equal numbers in two containers are
            not taken for one process.
        pid: Process number in that namespace.
        started: Kernel ticks from boot to the start of the process; empty where unknown.
    """

    host: str
    pid: int
    started: str


def this_process() -> ProcessIdentity:
    """Return the identity of the calling process."""
    pid = os.getpid()
    return ProcessIdentity(_host(), pid, _state(pid)[1])


def is_gone(process: ProcessIdentity) -> bool:
    """Return True when the process certainly runs no more; False when that cannot be known.

    A dead process that nobody has waited for keeps its number, in a container whose first process
    waits for no orphans until the container ends; it is gone all the same.
    """
    if process.host != _host():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    state, started = _state(process.pid)
    return started != process.started or (state in _DEAD and _threads(process.pid) <= 1)


def _host() -> str:
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux: the host name has to do
        pass
    return " ".join(parts)


def _state(pid: int) -> tuple[str, str]:
    """Return state and start, both empty where unknown."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", ""
    # Fields 3 and 22; the second field, the command in parentheses, may hold blanks.
    fields = status.rpartition(")")[2].split()
    return fields[0], fields[19]


def _threads(pid: int) -> int:
    """Return the threads that are left: a killed process's last ones may still be in a write."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
