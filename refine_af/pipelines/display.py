"""Shows the progress of a run: a live table on a terminal, plain lines elsewhere."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from refine_af.contracts.progress import amount, duration, printable, time_left
from refine_af.pipelines.tasks import task_name

STATES = {"start": "running", "end": "done", "fail": "failed"}
COLOURS = {"running": "bold cyan", "done": "green", "failed": "bold red", "reused": "dim"}
PLAIN_SECONDS = 10.0
"""Least time between two plain progress lines of one task."""
FEWEST_ROWS = 4
"""Rows that the table takes in the smallest window: the run, and what matters most now."""


@dataclass
class TaskView:
    """The state of one task.

    Attributes:
        state: waiting, running, done, failed or reused.
        detail: Counts, rate and remaining time, or the stage's closing numbers.
        started: Seconds since the epoch; 0 before the start.
        ended: Seconds since the epoch; 0 while the task runs.
        last_line: When a plain line was printed last.
        tokens: Read and written so far.
        endpoint_money: What endpoints ask for them so far; 0 where no price is known.
        gpu_seconds: GPUs times seconds; known when the task ends.
    """

    state: str = "waiting"
    detail: str = ""
    started: float = 0.0
    ended: float = 0.0
    last_line: float = 0.0
    tokens: int = 0
    endpoint_money: float = 0.0
    gpu_seconds: float = 0.0

    def seconds(self, now: float) -> float:
        """Return the wall time so far."""
        return max(0.0, (self.ended or now) - self.started) if self.started else 0.0


@dataclass
class RunView:
    """All tasks of a run, fed by progress events."""

    tasks: dict[str, TaskView]
    price_per_gpu_hour: float | None = None
    failure: dict[str, Any] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> str:
        """Apply one event and return a plain line worth printing, or an empty string."""
        name = task_name(event["stage"], event["label"])
        view = self.tasks.setdefault(name, TaskView())
        kind = event["event"]
        view.state = STATES.get(kind, view.state)
        view.tokens = event["spent"]["tokens"]
        view.endpoint_money = event["spent"].get("endpoint_money", 0.0)
        view.gpu_seconds = event["spent"]["gpu_seconds"]
        if kind == "start":
            view.started, view.ended = event["at"], 0.0
        elif kind in STATES:
            view.ended = event["at"]
        if kind == "fail":
            self.failure = event
            return f"{name}: failed after {duration(view.seconds(event['at']))}"
        view.detail = describe(event) or view.detail
        if kind == "step":
            if event["at"] - view.last_line < PLAIN_SECONDS:
                return ""
            view.last_line = event["at"]
        took = f" ({duration(view.seconds(event['at']))}; {self.count()})" if kind == "end" else ""
        return f"{name}: {STATES.get(kind, '')} {view.detail}{took}".replace(":  ", ": ").rstrip()

    def count(self) -> str:
        """Return how far the whole run is, and what it has spent."""
        views = self.tasks.values()
        ended = sum(view.state in ("done", "reused") for view in views)
        tokens = sum(view.tokens for view in views)
        hours = sum(view.gpu_seconds for view in views) / 3600
        parts = [f"{ended} of {len(views)} tasks"]
        parts += [f"{tokens:,} tokens"] if tokens else []
        asked = sum(view.endpoint_money for view in views)
        parts += [f"endpoints cost {asked:.2f} so far"] if asked else []
        if self.price_per_gpu_hour is not None:
            parts.append(f"GPUs cost {hours * self.price_per_gpu_hour:.2f} so far")
        return ", ".join(parts)

    def summary(self, now: float) -> str:
        """Return :meth:`count` and the time since the first start."""
        starts = [view.started for view in self.tasks.values() if view.started]
        elapsed = f", {duration(now - min(starts))}" if starts else ""
        return f"{self.count()}{elapsed}"


def describe(event: dict[str, Any]) -> str:
    """Return what an event says, in a few words."""
    if event["event"] == "step":
        numbers = "  ".join(f"{key} {value:.3g}" for key, value in event["numbers"].items())
        counts = f"{event['done']}/{event['total']} {event['unit']}"
        return f"{counts}, {event['rate']:.3g}/s{time_left(event['eta'])}  {numbers}".rstrip()
    if event["event"] == "end":
        skipped = {"at", "stage", "label", "event", "spent"}
        closing = [(key, value) for key, value in event.items() if key not in skipped]
        return "  ".join(f"{key} {amount(value)}" for key, value in closing[:5])
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


def table(view: RunView, now: float, height: int) -> Table:
    """Return the whole run in one line and its tasks, in at most ``height`` rows.

    Where not all tasks fit, those that run or failed stay, then those that ended last, then those
    that come next; the order is that of the run.
    """
    drawn = Table(box=None, pad_edge=False, show_header=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True, justify="right")
    drawn.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    drawn.add_row("[bold]run[/]", "", "", view.summary(now))
    shown = _that_fit(view.tasks, max(FEWEST_ROWS, height) - 2)
    for name, task in view.tasks.items():
        if name in shown:
            seconds = duration(task.seconds(now)) if task.started else ""
            style = COLOURS.get(task.state, "dim")
            drawn.add_row(f"[{style}]{task.state:8}[/]", name, seconds, task.detail)
    hidden = len(view.tasks) - len(shown)
    if hidden:
        drawn.add_row("", f"[dim]{hidden} more[/]", "", "")
    return drawn


def _that_fit(tasks: dict[str, TaskView], rows: int) -> set[str]:
    if len(tasks) <= rows:
        return set(tasks)
    urgent = [name for name, task in tasks.items() if task.state in ("running", "failed")]
    ended = [name for name, task in tasks.items() if task.state in ("done", "reused")]
    waiting = [name for name, task in tasks.items() if task.state == "waiting"]
    order = [*urgent, *ended[:-3:-1], *waiting, *ended[-3::-1]]
    return set(order[:rows])


class _Drawing:
    """The table at the moment of drawing, so that seconds advance between events."""

    def __init__(self, view: RunView, console: Console) -> None:
        self._view = view
        self._console = console

    def __rich__(self) -> Table:
        return table(self._view, time.time(), self._console.height - 1)


class Display:
    """Follows an events file; used as a context manager around the run."""

    def __init__(
        self,
        tasks: list[str],
        events: Path,
        console: Console,
        price_per_gpu_hour: float | None = None,
    ) -> None:
        self.view = RunView({name: TaskView() for name in tasks}, price_per_gpu_hour)
        self._events = events
        self._offset = 0
        self._console = console
        drawing = _Drawing(self.view, console)
        self._live = Live(drawing, console=console, transient=False, refresh_per_second=4)

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

    def _lines(self) -> Iterator[str]:
        events, self._offset = new_events(self._events, self._offset)
        for event in events:
            yield self.view.take(event)
