"""A lease: the right of one process to write below a URI, until it expires.

One algorithm for all stores, on their compare-and-swap. The record is replaced, never deleted, so
that no step of two racing processes can be mistaken for another. A lease that somebody renews is
refused; one that nobody renews is waited for until it has run out, so that the retry of a killed
stage is not wasted. The wait is never longer than the lease, whatever the holder's clock said; a
holder's clock may be behind by less than two thirds of the lease, which is renewed after each
third.
"""

import json
import logging
import math
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from refine_af.contracts.errors import LeaseHeldError, StorageError
from refine_af.storage.store import Store, Versioned

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 3
_POLL_SECONDS = 1.0
_LONGEST_SECONDS = 86_400.0

LEASE_SECONDS = 60.0
"""Seconds that others wait after a node was lost; the holder renews three times in that time."""

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
    """Return True when the process has certainly ended; False when that cannot be known.

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


def is_here(process: ProcessIdentity) -> bool:
    """Return whether the process certainly runs, on this machine."""
    return process.host == _host() and not is_gone(process)


def _host() -> str:
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux: only the host name is known
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
    """What a lease object holds.

    Attributes:
        holder: Who, for people.
        token: Tells apart two leases of one process.
        process: The holder's process.
        expires_at: Seconds since the epoch, by the holder's clock; 0 once released.
        seconds: How long the lease is from each renewal.
    """

    holder: str
    token: str
    process: ProcessIdentity
    expires_at: float
    seconds: float = LEASE_SECONDS

    @property
    def live(self) -> bool:
        """Return whether the holder may still be at work."""
        return self.expires_at > time.time() and not is_gone(self.process)

    @property
    def left(self) -> float:
        """Return the seconds until the lease has run out, at most those of the whole lease."""
        return min(max(self.expires_at - time.time(), 0.0), self.seconds)

    def dump(self) -> bytes:
        """Return the record as JSON."""
        return (json.dumps(asdict(self)) + "\n").encode()

    @classmethod
    def load(cls, raw: bytes) -> "LeaseRecord | None":
        """Return the record in ``raw``, or None when it holds anything else."""
        try:
            value = json.loads(raw)
            process = ProcessIdentity(**value.pop("process"))
            record = cls(process=process, **value)
            return record if record._is_sound() else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return None

    def _is_sound(self) -> bool:
        texts = (self.holder, self.token, self.process.host, self.process.started)
        numbers = (self.expires_at, self.seconds, self.process.pid)
        return (
            all(isinstance(text, str) for text in texts)
            and all(type(number) in (int, float) for number in numbers)
            and math.isfinite(self.expires_at)
            and 0.0 < self.seconds <= _LONGEST_SECONDS
            and type(self.process.pid) is int
            and 0 < self.process.pid < 2**31
        )

    def describe(self) -> str:
        """Return holder, process and expiry for people."""
        end = time.time() + self.left
        moment = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        host = self.process.host.partition(" ")[0]
        return f"{self.holder} (process {self.process.pid} on {host}) until {moment}"


class Lease:
    """A held lease; renewed by a background thread until released.

    Use it as a context manager. Call :meth:`check` before each write that must not happen twice.
    """

    def __init__(self, store: Store, uri: str, holder: str, seconds: float) -> None:
        """Take the lease; wait first for one that nobody renews, until it has run out.

        Args:
            store: Where ``uri`` lives.
            uri: The lease's own object.
            holder: Who to name in the message to others.
            seconds: Time after which others may take a lease that is no longer renewed. A holder
                on the same machine that has died is replaced at once.

        Raises:
            LeaseHeldError: When the holder runs on this machine, or renews it from another; the
                message says who and how long.
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

    def __exit__(self, *error: object) -> None:
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
        waited_for = ""
        for _ in range(_ATTEMPTS):
            current = self._read()
            record = LeaseRecord.load(current.data) if current else None
            if current is not None and record is not None and record.live:
                if is_here(record.process) or waited_for not in ("", current.version):
                    break
                waited_for = current.version
                if not self._wait_until_over(record, current.version):
                    break
            asked = _now()
            expected = current.version if current else None
            version = self._swap(expected, self._record(time.time() + self._seconds))
            if version is not None:
                self._until = asked + self._seconds
                return version
        raise LeaseHeldError(self._refusal(self._read()))

    def _wait_until_over(self, record: LeaseRecord, version: str) -> bool:
        """Wait until the lease runs out; return False as soon as somebody renews it."""
        end = _now() + record.left
        _LOG.warning(
            "%s: held by %s, maybe of a process that was killed: waiting until the lease has run"
            " out or is renewed",
            self._uri,
            record.describe(),
        )
        while (left := end - _now()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
            current = self._read()
            if current is None or current.version != version:
                renewed = LeaseRecord.load(current.data) if current else None
                return renewed is None or not renewed.live
        return True

    def _swap(self, expected: str | None, record: LeaseRecord) -> str | None:
        """Swap; a refusal after a lost answer to our own write counts as success."""
        version = self._store.swap(self._uri, record.dump(), expected)
        if version is None:
            current = self._store.read_version(self._uri)
            if current is not None and current.data == record.dump():
                return current.version
        return version

    def _record(self, expires_at: float) -> LeaseRecord:
        return LeaseRecord(self._holder, self._token, this_process(), expires_at, self._seconds)

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
