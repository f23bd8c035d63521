"""The retry policy of remote requests: which failures are repeated, how long and how often.

An outage (a store that restarts, a network that is cut, a busy node) is waited for in the process,
because KFP as it is installed retries no task and Argo only a few times. Permanent failures are
raised at once: a host name that does not exist, a certificate that is not trusted.
"""

import math
import os
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from refine_af.contracts.errors import ParameterError

Result = TypeVar("Result")

VARIABLE = "REFINE_AF_RETRY_SECONDS"
"""Environment variable with the seconds for which a failing request is repeated."""

DEFAULT_SECONDS = 300.0
"""A store's restart, with its volume mounted anew, takes one to three minutes."""

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0
STATUS_CODES = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP status codes after which a request is repeated."""

_UNKNOWN_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def retry_seconds() -> float:
    """Return for how many seconds a failing request is repeated.

    Raises:
        ParameterError: When the environment variable is not a number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_SECONDS
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= 86_400.0:
        raise ParameterError(f"{VARIABLE} is {text!r}; it must be seconds from 0 to 86400")
    return seconds


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each repetition, until the policy's time is over.

    Full jitter below a limit that doubles up to 10 s. Jitter spreads many pods that met the same
    outage; it has no part in results, so it is not seeded. The time counts from the first failure.
    """
    limit = FIRST_SECONDS
    end = time.monotonic() + retry_seconds()
    while (left := end - time.monotonic()) > 0:
        yield min(random.uniform(0.0, min(limit, LONGEST_SECONDS)), left)
        limit *= 2


def repeated(
    request: Callable[[], Result],
    is_transient: Callable[[Exception], bool],
    on_retry: Callable[[Exception], None] = lambda error: None,
) -> Result:
    """Return what ``request`` returns, asking again after each failure that may pass."""
    waits: Iterator[float] | None = None
    while True:
        try:
            return request()
        except Exception as error:
            if not is_transient(error):
                raise
            waits = waits or pauses()
            wait = next(waits, None)
            if wait is None:
                raise
            on_retry(error)
        time.sleep(wait)


def is_permanent(error: BaseException) -> bool:
    """Return whether a failed connection stays failed: no such host, no trusted certificate."""
    return any(
        isinstance(cause, ssl.SSLCertVerificationError)
        or (isinstance(cause, socket.gaierror) and cause.errno in _UNKNOWN_HOST)
        for cause in causes(error)
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and every error that it was made from, as libraries nest them."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        nested = (current.__cause__, current.__context__, getattr(current, "reason", None))
        waiting += [item for item in (*nested, *current.args) if isinstance(item, BaseException)]
