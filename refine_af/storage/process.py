"""Who this process is, precisely enough to know later that it is gone."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


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
    return ProcessIdentity(_host(), pid, _started(pid))


def is_gone(process: ProcessIdentity) -> bool:
    """Return True when the process certainly runs no more; False when that cannot be known."""
    if process.host != _host():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started(process.pid) != process.started


def _host() -> str:
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux: the host name has to do
        pass
    return " ".join(parts)


def _started(pid: int) -> str:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # Field 22; the second field, the command in parentheses, may hold blanks.
    return status.rpartition(")")[2].split()[19]
