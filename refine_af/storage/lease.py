"""A lease: the right of one process to write below a URI, until it expires.

One algorithm for all stores, on their compare-and-swap. The record is replaced, never deleted, so
that no step of two racing processes can be mistaken for another. Expiry compares the clocks of
two machines: they may differ by less than two thirds of the lease's seconds, since it is renewed
after each third.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from refine_af.contracts.errors import LeaseHeldError, StorageError
from refine_af.storage.store import Store, Versioned

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 3

LEASE_SECONDS = 60.0
"""Others wait this long after a node was lost; a holder renews three times in it."""

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


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a lease object holds; ``expires_at`` in seconds since the epoch, 0 once released."""

    holder: str
    token: str
    process: ProcessIdentity
    expires_at: float

    @property
    def live(self) -> bool:
        """Return whether the holder may still be at work."""
        return self.expires_at > time.time() and not is_gone(self.process)

    def dump(self) -> bytes:
        """Return the record as JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()

    @classmethod
    def load(cls, raw: bytes) -> "LeaseRecord | None":
        """Return the record, or None for bytes that are none."""
        try:
            value = json.loads(raw)
            process = ProcessIdentity(**value.pop("process"))
            return cls(process=process, **value)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def describe(self) -> str:
        """Return holder, process and expiry for people."""
        moment = datetime.fromtimestamp(self.expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        host = self.process.host.partition(" ")[0]
        return f"{self.holder} (process {self.process.pid} on {host}) until {moment}"


class Lease:
    """A held lease; renewed by a background thread until released.

    Use it as a context manager. Call :meth:`check` before each write that must not happen twice.
    """

    def __init__(self, store: Store, uri: str, holder: str, seconds: float) -> None:
        """Take the lease at once.

        Args:
            store: Where ``uri`` lives.
            uri: The lease's own object.
            holder: Who to name in the message to others.
            seconds: Time after which others may take a lease that is no longer renewed. A holder
                on the same machine that has died is replaced at once.

        Raises:
            LeaseHeldError: When another live holder has it; the message says who and how long.
        """
        self._store = store
        self._uri = uri
        self._holder = holder
        self._seconds = seconds
        self._token = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._lost: str | None = None
        self._until = 0.0
        self._version = self._acquire()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def check(self) -> None:
        """Return only while this process holds the lease; costs no request while it is fresh.

        Raises:
            LeaseHeldError: When another process has taken it, or it was released.
        """
        if self._lost is None and _now() < self._until:
            return
        self.renew()

    def renew(self) -> None:
        """Extend the lease by its seconds from now.

        Raises:
            LeaseHeldError: When another process has taken it.
        """
        with self._lock:
            if self._lost is not None:
                raise LeaseHeldError(self._lost)
            asked = _now()
            version = self._swap(self._version, self._record(time.time() + self._seconds))
            if version is None:
                self._lost = self._refusal(self._read())
                raise LeaseHeldError(self._lost)
            self._version = version
            self._until = asked + self._seconds

    def release(self) -> None:
        """Give the lease back; nothing happens when it is lost or released already."""
        self._closed.set()
        with self._lock:
            if self._lost is not None:
                return
            self._lost = f"{self._uri}: the lease was released"
            try:
                self._swap(self._version, self._record(0.0))
            except StorageError as error:
                _LOG.warning("%s: not released, it will expire: %s", self._uri, error)
        self._thread.join(timeout=1.0)

    def _keep(self) -> None:
        while not self._closed.wait(self._seconds / 3):
            try:
                self.renew()
            except LeaseHeldError:
                return
            except StorageError as error:
                _LOG.warning("%s: not renewed, will be tried again: %s", self._uri, error)

    def _acquire(self) -> str:
        for _ in range(_ATTEMPTS):
            current = self._store.read_version(self._uri)
            record = LeaseRecord.load(current.data) if current else None
            if record is not None and record.live:
                break
            asked = _now()
            expected = current.version if current else None
            version = self._swap(expected, self._record(time.time() + self._seconds))
            if version is not None:
                self._until = asked + self._seconds
                return version
        raise LeaseHeldError(self._refusal(self._read()))

    def _swap(self, expected: str | None, record: LeaseRecord) -> str | None:
        """Swap; a refusal after a lost answer to our own write counts as success."""
        version = self._store.swap(self._uri, record.dump(), expected)
        if version is None:
            current = self._store.read_version(self._uri)
            if current is not None and current.data == record.dump():
                return current.version
        return version

    def _record(self, expires_at: float) -> LeaseRecord:
        return LeaseRecord(self._holder, self._token, this_process(), expires_at)

    def _read(self) -> Versioned | None:
        return self._store.read_version(self._uri)

    def _refusal(self, current: Versioned | None) -> str:
        record = LeaseRecord.load(current.data) if current else None
        who = record.describe() if record else "another process"
        return (
            f"{self._uri}: the lease is held by {who}; wait for it to end, or choose another"
            " work_dir"
        )


def _now() -> float:
    """Return seconds of a clock that also runs while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
