"""The termination message of a container: Argo and KFP show it as the reason of a failure."""

import contextlib
import os
from pathlib import Path

from refine_af.contracts.progress import printable

LOG = "/dev/termination-log"
"""Kubernetes makes this file in every container, even with a read-only root file system."""

LOG_VARIABLE = "REFINE_AF_TERMINATION_LOG"
"""Environment variable with another file, for containers that set ``terminationMessagePath``."""

MOST_BYTES = 4096
"""Bytes that Kubernetes keeps."""


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
