"""Limits of remote reads and writes: a server can send for ever, or take a byte a second."""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from refine_af.contracts.errors import DataError, ParameterError, StorageError

Result = TypeVar("Result")

BYTES_VARIABLE = "REFINE_AF_DOWNLOAD_BYTES"
SECONDS_VARIABLE = "REFINE_AF_DOWNLOAD_SECONDS"
UPLOAD_VARIABLE = "REFINE_AF_UPLOAD_SECONDS"
DEFAULT_BYTES = 512 * 1024**3
"""Bytes of one object or page; a model's weights come in files of 5 to 50 GB."""

DEFAULT_SECONDS = 4 * 3600.0
"""Seconds for one object or page with all repetitions, read or written: 50 GB at 4 MB/s."""

END_SECONDS = 1.0
"""Seconds between two attempts to end the threads of a read that was given up."""

ANSWER_BYTES = 64 * 1024**2
"""Bytes of a store's answer that is no object: a page of 1,000 keys has less than 2 MB."""


def most_bytes() -> int:
    """Return the largest object or page that is read."""
    return int(_setting(BYTES_VARIABLE, DEFAULT_BYTES))


def seconds() -> float:
    """Return how long reading one object or page may take."""
    return _setting(SECONDS_VARIABLE, DEFAULT_SECONDS)


def upload_seconds() -> float:
    """Return how long writing one object may take."""
    return _setting(UPLOAD_VARIABLE, DEFAULT_SECONDS)


def check_size(uri: str, size: int) -> None:
    """Refuse more bytes than the limit."""
    if size > (most := most_bytes()):
        raise DataError(
            f"{uri}: {size} bytes or more; at most {most} are read; check the address, or set"
            f" {BYTES_VARIABLE}"
        )


def bounded(uri: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of an answer that is no object, up to :data:`ANSWER_BYTES`."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > ANSWER_BYTES:
            raise StorageError(
                f"{uri}: an answer of more than {ANSWER_BYTES} bytes, which no store gives; check"
                " the address and the network"
            )
        yield chunk


def check_time(uri: str, end: float) -> None:
    """Refuse to go on after ``end``, a moment of ``time.monotonic``."""
    if time.monotonic() > end:
        raise StorageError(
            f"{uri}: not read after {seconds():g} s; the server is too slow; download the file"
            f" and give its path, or set {SECONDS_VARIABLE}"
        )


class _Transfer:
    """The threads of one bounded read or write."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def join_in(self) -> None:
        """Count the calling thread to this transfer."""
        self._threads.append(threading.current_thread())

    def end(self) -> None:
        """Raise :class:`_GivenUpError` in every thread until none is left.

        A thread that waits for bytes meets it when some arrive or its request times out.
        """
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        while alive := [thread for thread in list(self._threads) if thread.is_alive()]:
            for thread in alive:
                raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_GivenUpError))
            time.sleep(END_SECONDS)


class _GivenUpError(BaseException):
    """Ends the threads of a transfer that was given up; no library takes it for its own error."""


_running = threading.local()


def helper() -> Callable[[], None]:
    """Return what a thread that works for the current transfer calls first, to end with it."""
    transfer: _Transfer | None = getattr(_running, "transfer", None)
    return transfer.join_in if transfer is not None else lambda: None


def within(uri: str, call: Callable[[], Result], *, writes: bool = False) -> Result:
    """Return what ``call`` returns within the time for one read, or one write.

    It runs in a thread of its own, because no other way ends a library's wait for a server that
    sends or takes a byte now and then. A call that is given up ends with the next byte, or when
    the request times out; so does one whose caller is interrupted.

    Raises:
        StorageError: When the time is over.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    most = upload_seconds() if writes else seconds()
    end = time.monotonic() + most
    transfer = _Transfer()

    def run() -> None:
        _running.transfer = transfer
        transfer.join_in()
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="transfer", daemon=True)
    thread.start()
    try:
        thread.join(most + 1.0)
    except BaseException:  # a stop: what is written must not arrive after the lease is given back
        _end_aside(transfer)
        thread.join(2 * END_SECONDS)
        raise
    if errors:
        raise errors[0]
    if not results:
        _end_aside(transfer)
        if writes:
            raise StorageError(
                f"{uri}: not written after {most:g} s; the server is too slow or does not answer;"
                f" check it, or set {UPLOAD_VARIABLE}"
            )
        check_time(uri, end)
    return results[0]


def _end_aside(transfer: _Transfer) -> None:
    threading.Thread(target=transfer.end, name="end-transfer", daemon=True).start()


def _setting(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e18:
        raise ParameterError(f"{name} is {text!r}; it must be a number above 0")
    return value
