"""What people see of a run: time that ticks, a rate without start-up, small windows, pipes."""

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from refine_af.contracts.progress import amount, duration
from refine_af.pipelines.display import Display, RunView, TaskView, describe, table

NAMES = [f"stage_{number}" for number in range(15)]


def event(stage: str, kind: str, at: float, **values: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    spent = {"tokens": 0, "gpu_seconds": 0.0}
    return {"stage": stage, "label": "", "event": kind, "at": at, "spent": spent, **values}


def step(stage: str, at: float, done: int, eta: float | None) -> dict[str, Any]:
    counts = {"done": done, "total": 30, "unit": "updates", "rate": 2.0, "eta": eta, "numbers": {}}
    return event(stage, "step", at, **counts)


def drawn(view: RunView, now: float, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=100, height=height, force_terminal=False)
    console.print(table(view, now, height))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue().rstrip("\n").split("\n")


def test_elapsed_time_ticks_between_events() -> None:
    view = RunView({"train_ppo": TaskView()})
    view.take(event("train_ppo", "start", 1000.0))
    assert "7 s" in drawn(view, 1007.0, 20)[1]
    assert "1:12 min" in drawn(view, 1072.0, 20)[1]
    view.take(event("train_ppo", "end", 1080.0, updates=30.0))
    assert "1:20 min" in drawn(view, 5000.0, 20)[1]


def test_twelve_rows_show_the_run_and_the_task_that_runs() -> None:
    view = RunView({name: TaskView() for name in NAMES})
    for number, name in enumerate(NAMES[:13]):
        view.take(event(name, "start", 100.0 + number))
        view.take(event(name, "end", 100.5 + number))
    view.take(event(NAMES[13], "start", 120.0))
    view.take(step(NAMES[13], 130.0, 4, 13.0))
    lines = drawn(view, 130.0, 12)
    assert len(lines) <= 12
    assert lines[0].split() == ["run", "13", "of", "15", "tasks,", "30", "s"]
    assert any("running" in line and "4/30 updates, 2/s, 13 s left" in line for line in lines)
    assert any("stage_14" in line for line in lines)
    assert lines[-1].strip() == "5 more"


def test_piped_lines_say_how_far_the_run_is_and_a_failure_once(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    rows = [
        event("seed_ingest", "start", 1.0),
        event("seed_ingest", "end", 3.0, rows=8.0, share=0.123456),
        event("train_ppo", "start", 3.0),
        event("train_ppo", "fail", 8.0, message="episodes_per_prompt is 7", exit_code=64),
    ]
    events.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output = io.StringIO()
    console = Console(file=output, force_terminal=False, width=200)
    with Display(["seed_ingest", "train_ppo"], events, console) as display:
        display.refresh()
    text = output.getvalue()
    assert "seed_ingest: done rows 8  share 0.1235 (2 s; 1 of 2 tasks)" in text
    assert "train_ppo: failed after 5 s" in text
    assert "episodes_per_prompt" not in text  # the command's own last line says it
    assert display.view.failure["message"] == "episodes_per_prompt is 7"


def test_numbers_and_times_for_people() -> None:
    assert [amount(value) for value in (8.0, 123456, 0.123456, True, "x")] == [
        "8",
        "123456",
        "0.1235",
        "True",
        "x",
    ]
    assert [duration(value) for value in (0.4, 59.4, 185.0, 7620.0)] == [
        "0 s",
        "59 s",
        "3:05 min",
        "2:07 h",
    ]
    assert describe(step("a", 0.0, 1, None)) == "1/30 updates, 2/s"


def test_tokens_and_money_so_far_are_the_sums_of_the_tasks() -> None:
    view = RunView({"a": TaskView(), "b": TaskView()}, price_per_gpu_hour=3.0)
    view.take(event("a", "start", 100.0))
    view.take(event("a", "end", 1900.0, spent={"tokens": 70_000, "gpu_seconds": 2 * 1800.0}))
    view.take(step("b", 2000.0, 1, None) | {"spent": {"tokens": 1_234, "gpu_seconds": 0.0}})
    (first, *_) = drawn(view, 2000.0, 12)
    assert "1 of 2 tasks, 71,234 tokens, GPUs cost 3.00 so far, 31:40 min" in first
    assert "cost" not in drawn(RunView({"a": TaskView()}), 0.0, 12)[0]
    spent = {"tokens": 70_000, "gpu_seconds": 0.0, "endpoint_money": 1.239}
    line = view.take(event("a", "end", 1900.0, spent=spent))
    assert "71,234 tokens, endpoints cost 1.24 so far, GPUs cost 0.00 so far" in line
