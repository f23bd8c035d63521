"""Progress events: appended to a file when one is named, plain lines on stderr when not."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

EVENTS_VARIABLE = "REFINE_AF_EVENTS"
"""Names the file that ``refine-af run`` follows; unset in a pod, where the log is the display."""

LINE_SECONDS = 5.0
"""Least time between two plain lines of one stage, so that a pod's log stays readable."""


class StageProgress:
    """Reports of one stage run.

    Events are JSON objects, one a line: ``{"at": seconds since the epoch, "stage", "label",
    "event": start|step|say|end|fail, ...}``. Appending one line is atomic on a local disk.
    """

    def __init__(self, stage: str, label: str = "") -> None:
        """Report for ``stage``; ``label`` tells apart several tasks of it (the arm)."""
        self._stage = stage
        self._label = label
        self._started = time.monotonic()
        self._last_line = 0.0
        path = os.environ.get(EVENTS_VARIABLE)
        self._events = Path(path) if path else None

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Report ``done`` of ``total`` units, with rate and remaining time worked out here.

        The event's ``eta`` is null before the first unit is done.
        """
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = done / seconds
        left = (total - done) / rate if rate > 0 else None
        self._emit("step", done=done, total=total, unit=unit, rate=rate, eta=left, numbers=numbers)
        now = time.monotonic()
        if self._events is None and (now - self._last_line > LINE_SECONDS or done >= total):
            self._last_line = now
            extra = "".join(f" {key} {value:.4g}" for key, value in numbers.items())
            self._line(f"{done}/{total} {unit}, {rate:.3g}/s{time_left(left)}{extra}")

    def say(self, message: str) -> None:
        """Report one plain sentence."""
        self._emit("say", message=message)
        if self._events is None:
            self._line(message)

    def event(self, name: str, **values: Any) -> None:  # noqa: ANN401  JSON values
        """Report the start, end or failure of the stage."""
        self._emit(name, **values)
        if self._events is None:
            details = ", ".join(f"{key} {value}" for key, value in values.items())
            self._line(f"{name}{': ' + details if details else ''}")

    def _emit(self, event: str, **values: Any) -> None:  # noqa: ANN401
        if self._events is None:
            return
        record = {"at": time.time(), "stage": self._stage, "label": self._label, "event": event}
        line = json.dumps(record | values, ensure_ascii=True) + "\n"
        descriptor = os.open(self._events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _line(self, text: str) -> None:
        name = f"{self._stage} ({self._label})" if self._label else self._stage
        sys.stderr.write(f"{name}: {printable(text)}\n")
        sys.stderr.flush()


def time_left(seconds: float | None) -> str:
    """Return the remaining time behind a comma; nothing where it is not known, or over."""
    return f", {seconds:.0f} s left" if seconds else ""


def printable(text: str) -> str:
    """Return ``text`` without control characters, so that model text cannot drive a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
