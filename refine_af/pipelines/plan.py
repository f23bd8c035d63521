"""The plan of a run: ``refine-af run --dry-run``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from refine_af.contracts.params import shown
from refine_af.engines.chat import uses_chat
from refine_af.pipelines.bounds import model_calls
from refine_af.pipelines.config import DEFAULTS, RunConfig
from refine_af.pipelines.devices import GPUS
from refine_af.pipelines.endpoints import Asked, asked_of_endpoints
from refine_af.pipelines.estimate import Estimate, estimates, summary_line, unknown_lines
from refine_af.pipelines.tasks import PlannedTask, planned

Calls = Mapping[str, tuple[int, int]]


def dry_run_text(config: RunConfig, preset: RunConfig, folder: Path) -> str:
    """Return the plan as a table for people, in the order of the run.

    Args:
        config: What would run.
        preset: What it was made from; parameters that differ from it are marked.
        folder: Where the output would go.
    """
    calls = model_calls(config)
    tasks = planned(config)
    lines = [
        f"output: {folder}",
        f"arms: {', '.join(config.arms)}; start model beside them",
        _chat_line(config),
        "",
    ]
    lines += _table(tasks, preset, calls, _hours(config))
    total = sum(tokens for _, tokens in calls.values())
    lines += ["", "* differs from the preset; `refine-af config show` lists every value"]
    lines.append(f"estimate: at most {total:,} new tokens before evaluation")
    lines += _endpoint_lines(asked_of_endpoints(config))
    lines += unknown_lines(config)
    lines += [f"in all {line}" for kind in GPUS if (line := summary_line(config, kind))]
    return "\n".join(lines)


def _endpoint_lines(asked: Sequence[Asked]) -> list[str]:
    """Return what endpoints are asked, a row per task and model, and what it costs."""
    if not asked:
        return []
    rows = [["endpoints, at most", "calls", "tokens read", "tokens written", "money"]]
    for item in asked:
        money = "no price" if item.money is None else f"{item.money:,.2f}"
        rows.append([item.task, *(f"{n:,}" for n in (item.calls, item.read, item.written)), money])
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    priced = [item.money for item in asked if item.money is not None]
    total = (
        f"endpoints in all: {sum(priced):,.2f} for prompts as long as the packaged seeds make them"
    )
    hint = "prices are the parameters price_per_million_read and price_per_million_written"
    unpriced = len(priced) < len(asked)
    return ["", *lines, *([total] if priced else []), *([hint] if unpriced else []), ""]


def _chat_line(config: RunConfig) -> str:
    """Return whether the run asks through the model's chat template, as far as can be told now."""
    shared = DEFAULTS | config.parameters
    chat, model, engine = (str(shared[name]) for name in ("chat", "model", "engine"))
    if chat != "auto":
        return f"chat: {chat}"
    known = model.startswith("builtin:") or Path(model).is_dir()
    if not known and engine in ("transformers", "vllm"):
        return "chat: auto: yes where the model, once it is fetched, has a chat template"
    return f"chat: auto: {'yes' if uses_chat('auto', model, engine) else 'no'}"


def _table(
    tasks: Sequence[PlannedTask], preset: RunConfig, calls: Calls, hours: Mapping[str, list[str]]
) -> list[str]:
    """Return one row per task, and below it one line per parameter that differs."""
    usual = {task.name: task for task in planned(preset)}
    head = ["task", "model calls", *next(iter(hours.values()), []), "what it does"]
    rows = [head]
    for task in tasks:
        known = calls.get(task.name) or calls.get(task.stage.name)
        count = f"{known[0]:,}" if known else ""
        times = hours.get(task.name) or hours.get(task.stage.name) or [""] * (len(head) - 3)
        rows.append([task.name, count, *times, task.stage.summary])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    lines = [_row(row, widths) for row in rows]
    table = lines[:1]
    for task, line in zip(tasks, lines[1:], strict=True):
        table.append(line)
        table += [f"  * {change}" for change in changes(task, usual.get(task.name))]
    return table


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, last = cells
    padded = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([first.ljust(widths[0]), *padded, last])


def changes(task: PlannedTask, usual: PlannedTask | None) -> list[str]:
    """Return ``name = value (preset: value)`` of each parameter that differs from the preset's."""
    if usual is None:
        return ["not a task of the preset"]
    before = usual.params.model_dump()
    return [
        f"{name} = {shown(value)} (preset: {shown(before[name])})"
        for name, value in task.params.model_dump().items()
        if value != before[name]
    ]


def _hours(config: RunConfig) -> dict[str, list[str]]:
    """Return GPU hours by task, one cell per kind of GPU, under a row of the kinds' names."""
    by_kind = {kind: estimates(config, device) for kind, device in GPUS.items()}
    if not by_kind["h100"]:
        return {}
    table = {"task": [f"{kind} h" for kind in GPUS]}
    for column in zip(*by_kind.values(), strict=True):
        table[column[0].task] = [_cell(estimate) for estimate in column]
    return table


def _cell(estimate: Estimate) -> str:
    return f"{estimate.hours:.2f}" if estimate.hours is not None else "too large"
