"""Why a container failed, where Kubernetes looks: Argo's and KFP's graphs then show the reason."""

import contextlib
import os
from pathlib import Path

from refine_af.contracts.progress import printable

LOG = "/dev/termination-log"
"""Kubernetes makes this file in every container, also where the root is read-only."""

LOG_VARIABLE = "REFINE_AF_TERMINATION_LOG"
"""Names another file, for a container with a ``terminationMessagePath`` of its own."""

MOST_BYTES = 4096
"""Kubernetes keeps no more."""


def report_termination(message: str) -> None:
    """Write one line for people to the container's termination log; without such a log nothing.

    A log that cannot be written changes nothing: the message also stands in the container's output.
    """
    path = Path(os.environ.get(LOG_VARIABLE, LOG))
    line = printable(" ".join(message.split())).encode("utf-8")[:MOST_BYTES]
    whole = line.decode("utf-8", "ignore")  # without the part of a character at the cut
    with contextlib.suppress(OSError):
        if path.is_file():  # outside of Kubernetes nobody made it, and root must not
            path.write_text(whole, encoding="utf-8")
