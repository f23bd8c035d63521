"""Progress events: appended to a file when one is named, plain lines on stderr when not."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EVENTS_VARIABLE = "REFINE_AF_EVENTS"
"""Environment variable with the file that ``refine-af run`` follows; unset in a pod, which logs."""

LINE_SECONDS = 5.0
"""Least time between two plain lines of one stage, so that a pod's log stays readable."""


RECENT_SECONDS = 60.0
"""The window of a rate."""

_TREND_STEPS = 8
"""Fewest steps from which a trend is estimated."""


class StageProgress:
    """Reports of one stage run.

    Events are JSON objects, one a line: ``{"at": seconds since the epoch, "stage", "label",
    "event": start|step|say|end|fail, "spent": {...}, ...}``. Appending one
    line is atomic on a local disk.
    """

    def __init__(self, stage: str, label: str = "") -> None:
        """Report for ``stage``; ``label`` distinguishes several tasks of the stage (the arm)."""
        self._stage = stage
        self._label = label
        self._pace = Pace()
        self._last_line = 0.0
        self._telemetry: Mapping[str, Any] = {}
        path = os.environ.get(EVENTS_VARIABLE)
        self._events = Path(path) if path else None

    def watch(self, telemetry: Mapping[str, Any]) -> None:
        """Add what the stage has spent to every event, as far as its telemetry has it."""
        self._telemetry = telemetry

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Report ``done`` of ``total`` units, with rate and remaining time, see :class:`Pace`.

        The event's ``eta`` is null as long as no unit was done.
        """
        rate, left = self._pace.after(time.monotonic(), done, total, unit)
        self._emit("step", done=done, total=total, unit=unit, rate=rate, eta=left, numbers=numbers)
        now = time.monotonic()
        if self._events is None and (now - self._last_line > LINE_SECONDS or done >= total):
            self._last_line = now
            extra = "".join(f" {key} {amount(value)}" for key, value in numbers.items())
            self._line(f"{done}/{total} {unit}, {rate:.3g}/s{time_left(left)}{extra}")

    def resumed(self, done: int, unit: str) -> None:
        """Take it that ``done`` units were done by an earlier run, in no time of this one."""
        self._pace.resumed(time.monotonic(), done, unit)

    def say(self, message: str) -> None:
        """Report one plain sentence."""
        self._emit("say", message=message)
        if self._events is None:
            self._line(message)

    def event(self, name: str, **values: Any) -> None:  # noqa: ANN401  JSON values
        """Report the start, end or failure of the stage.

        A failure prints nothing: its one message is the error's, which the caller shows.
        """
        self._emit(name, **values)
        if self._events is None and name != "fail":
            details = ", ".join(f"{key} {amount(value)}" for key, value in values.items())
            self._line(f"{name}{': ' + details if details else ''}")

    def _emit(self, event: str, **values: Any) -> None:  # noqa: ANN401
        if self._events is None:
            return
        record = {"at": time.time(), "stage": self._stage, "label": self._label, "event": event}
        record |= {"spent": spent(self._telemetry)}
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


def spent(telemetry: Mapping[str, Any]) -> dict[str, float]:
    """Return tokens read and written, what endpoints ask for them, and GPU-seconds.

    GPU-seconds are known at the end.
    """
    tokens = telemetry.get("prompt_tokens", 0) + telemetry.get("new_tokens", 0)
    return {
        "tokens": tokens,
        "endpoint_money": telemetry.get("endpoint_money", 0.0),
        "gpu_seconds": telemetry.get("gpus", 0) * telemetry.get("seconds", 0.0),
    }


class Pace:
    """The rate of the recent past, and the time that the rest takes.

    The rate is that of the last minute, so that a slow start, or what an earlier run had done, soon
    stops counting. Where the rate falls steadily, because work per unit grows with what is done,
    the time per unit is extrapolated linearly.
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._unit = ""
        self._steps: deque[tuple[float, int]] = deque()

    def after(self, now: float, done: int, total: int, unit: str) -> tuple[float, float | None]:
        """Return units a second, and seconds left; None as long as no unit was done.

        Args:
            now: Seconds on the monotonic clock.
            done: Units done, those of an earlier run with them.
            total: Units in all.
            unit: What is counted; another unit starts anew.
        """
        if unit != self._unit or (self._steps and done < self._steps[-1][1]):
            last = self._steps[-1][0] if self._steps else self._started
            begun = now if done == 0 else last  # what prepares the units is not their rate
            self._unit = unit
            self._steps = deque([(begun, 0)])
        self._steps.append((now, done))
        while len(self._steps) > 2 and self._steps[1][0] <= now - RECENT_SECONDS:
            self._steps.popleft()
        rate = _rate(self._steps[0], self._steps[-1])
        if rate == 0:
            return 0.0, None
        return rate, (total - done) / rate * self._growth(done, total, rate)

    def resumed(self, now: float, done: int, unit: str) -> None:
        """Begin to count at ``done`` units, which an earlier run had done."""
        self._unit = unit
        self._steps = deque([(now, done)])

    def _growth(self, done: int, total: int, rate: float) -> float:
        """Return the factor by which the remaining units take longer than the recent ones."""
        middle = self._steps[len(self._steps) // 2]
        earlier, later = _rate(self._steps[0], middle), _rate(middle, self._steps[-1])
        if len(self._steps) < _TREND_STEPS or not 0 < later < earlier:
            return 1.0
        covered = done - self._steps[0][1]
        # Seconds a unit at the middles of both halves give the line; half of `covered` apart.
        slope = (1 / later - 1 / earlier) / (covered / 2)
        ahead = (total - done) / 2 + covered / 2
        return 1 + slope * ahead * rate


def _rate(first: tuple[float, int], last: tuple[float, int]) -> float:
    return max(last[1] - first[1], 0) / max(last[0] - first[0], 1e-9)


def time_left(seconds: float | None) -> str:
    """Return the remaining time behind a comma; nothing where it is not known, or over."""
    return f", {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """Return a time for people: ``42 s``, ``3:05 min``, ``2:07 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def amount(value: Any) -> str:  # noqa: ANN401  JSON values
    """Return a number for people, counts without decimals; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4g}"


def printable(text: str) -> str:
    """Return ``text`` without control characters, so that model text cannot drive a terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
