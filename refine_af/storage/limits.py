"""Limits of remote reads in bytes and seconds: a server can send for ever, or a byte a second."""

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from refine_af.contracts.errors import DataError, ParameterError, StorageError

Result = TypeVar("Result")

BYTES_VARIABLE = "REFINE_AF_DOWNLOAD_BYTES"
SECONDS_VARIABLE = "REFINE_AF_DOWNLOAD_SECONDS"
DEFAULT_BYTES = 512 * 1024**3
"""Bytes of one object or page; a model's weights come in files of 5 to 50 GB."""

DEFAULT_SECONDS = 4 * 3600.0
"""Seconds for one object or page with all repetitions: 50 GB at 4 MB/s."""


def most_bytes() -> int:
    """Return the largest object or page that is read."""
    return int(_setting(BYTES_VARIABLE, DEFAULT_BYTES))


def seconds() -> float:
    """Return how long reading one object or page may take."""
    return _setting(SECONDS_VARIABLE, DEFAULT_SECONDS)


def check_size(uri: str, size: int) -> None:
    """Refuse more bytes than the limit."""
    if size > (most := most_bytes()):
        raise DataError(
            f"{uri}: {size} bytes or more; at most {most} are read; check the address, or set"
            f" {BYTES_VARIABLE}"
        )


def check_time(uri: str, end: float) -> None:
    """Refuse to go on after ``end``, a moment of ``time.monotonic``."""
    if time.monotonic() > end:
        raise StorageError(
            f"{uri}: not read after {seconds():g} s; the server is too slow; download the file"
            f" and give its path, or set {SECONDS_VARIABLE}"
        )


def within(uri: str, call: Callable[[], Result]) -> Result:
    """Return what ``call`` returns within the time for one read.

    It runs in a thread of its own, because no other way ends a library's wait for a server that
    sends a byte now and then; a call that is given up is left behind and ends with the process.

    Raises:
        StorageError: When the time is over.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    end = time.monotonic() + seconds()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="read", daemon=True)
    thread.start()
    thread.join(seconds() + 1.0)
    if errors:
        raise errors[0]
    if not results:
        check_time(uri, end)
    return results[0]


def _setting(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e18:
        raise ParameterError(f"{name} is {text!r}; it must be a number above 0")
    return value
