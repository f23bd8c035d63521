"""Shows people where a run stands: a live table on a terminal, plain lines elsewhere."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from refine_af.contracts.progress import printable, time_left
from refine_af.pipelines.tasks import task_name

STATES = {"start": "running", "end": "done", "fail": "failed"}
PLAIN_SECONDS = 10.0
"""Least time between two plain progress lines of one task."""


@dataclass
class TaskView:
    """What is known of one task.

    Attributes:
        state: waiting, running, done, failed or reused.
        detail: Counts, rate and remaining time, or the stage's closing numbers.
        started: Seconds since the epoch; 0 before the start.
        seconds: Wall time so far.
    """

    state: str = "waiting"
    detail: str = ""
    started: float = 0.0
    seconds: float = 0.0
    last_line: float = 0.0


@dataclass
class RunView:
    """All tasks of a run, fed by progress events."""

    tasks: dict[str, TaskView]
    failure: dict[str, Any] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> str:
        """Apply one event and return a plain line worth printing, or an empty string."""
        name = task_name(event["stage"], event["label"])
        view = self.tasks.setdefault(name, TaskView())
        kind = event["event"]
        view.state = STATES.get(kind, view.state)
        if kind == "start":
            view.started = event["at"]
        view.seconds = event["at"] - view.started
        view.detail = describe(event) or view.detail
        if kind == "fail":
            self.failure = event
        if kind == "step":
            if event["at"] - view.last_line < PLAIN_SECONDS:
                return ""
            view.last_line = event["at"]
        return f"{name}: {STATES.get(kind, '')} {view.detail}".replace(":  ", ": ").rstrip()


def describe(event: dict[str, Any]) -> str:
    """Return what an event says, in a few words."""
    if event["event"] == "step":
        numbers = "  ".join(f"{key} {value:.3g}" for key, value in event["numbers"].items())
        counts = f"{event['done']}/{event['total']} {event['unit']}"
        return f"{counts}, {event['rate']:.3g}/s{time_left(event['eta'])}  {numbers}"
    if event["event"] == "end":
        skipped = {"at", "stage", "label", "event"}
        closing = [(key, value) for key, value in event.items() if key not in skipped]
        return "  ".join(f"{key} {value:.4g}" for key, value in closing[:5])
    return printable(str(event.get("message", "")))


def new_events(path: Path, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines that were appended after ``offset``, and the new offset."""
    if not path.exists():
        return [], offset
    with path.open("rb") as source:
        source.seek(offset)
        data = source.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.split(b"\n") if line], offset + len(whole)


def table(view: RunView) -> Table:
    """Return the table of all tasks."""
    drawn = Table(box=None, pad_edge=False, show_header=False)
    colours = {"running": "bold cyan", "done": "green", "failed": "bold red", "reused": "dim"}
    for name, task in view.tasks.items():
        seconds = f"{task.seconds:5.0f} s" if task.started else ""
        style = colours.get(task.state, "dim")
        drawn.add_row(f"[{style}]{task.state:8}[/]", name, seconds, task.detail)
    return drawn


class Display:
    """Follows an events file; used as a context manager around the run."""

    def __init__(self, tasks: list[str], events: Path, console: Console) -> None:
        self.view = RunView({name: TaskView() for name in tasks})
        self._events = events
        self._offset = 0
        self._console = console
        self._live = Live(console=console, transient=False, refresh_per_second=4)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refresh()
        if self._console.is_terminal:
            self._live.stop()

    def refresh(self) -> None:
        """Read new events and show them."""
        for line in self._lines():
            if line and not self._console.is_terminal:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(table(self.view))

    def _lines(self) -> Iterator[str]:
        events, self._offset = new_events(self._events, self._offset)
        for event in events:
            yield self.view.take(event)
