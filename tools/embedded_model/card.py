"""The measured part of the model card, written between two marks of the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

START, END = "<!-- measured: start -->", "<!-- measured: end -->"
Table = dict[str, dict[str, float]]


def _rows(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _numbers(found: dict[str, float]) -> list[tuple[str, ...]]:
    return [
        (name, f"{value:.3f}" if value < 2 else f"{value:.0f}") for name, value in found.items()
    ]


def _curve(curve: list[dict[str, float]]) -> list[tuple[str, ...]]:
    every = max(1, len(curve) // 12)
    chosen = [*curve[::every], curve[-1]] if curve else []
    return [
        (f"{row['step']:.0f}", f"{row['tokens'] / 1e6:.2f} M", f"{row['loss']:.3f}")
        for row in chosen
    ]


def _skills(table: Table) -> list[tuple[str, ...]]:
    ordered = sorted(table.items(), key=lambda item: (item[1]["exact"], item[0]))
    return [(name, f"{row['exact']:.2f}", f"{row['majority']:.2f}") for name, row in ordered]


def measured_text(found: dict[str, Any]) -> str:
    """Write the tables of a measurement as Markdown."""
    lines: list[str] = []
    for name in ("tiny", "fixture"):
        if name in found["models"]:
            lines += _rows(
                f"`builtin:{name}`", ("measure", "value"), _numbers(found["models"][name])
            )
    for name, part in found["reward"].items():
        lines += _rows(f"Reward on {name}", ("measure", "value"), _numbers(part))
    for name, curve in found["curves"].items():
        head = ("step", "tokens", "weighted loss")
        lines += _rows(f"Training of `builtin:{name}`", head, _curve(curve))
    for name, table in found["skills"].items():
        head = ("skill", "exact", "majority")
        lines += _rows(f"Exact answers, {name}", head, _skills(table))
    return "\n".join(lines)


def write(readme: Path, measurements: Path) -> None:
    """Put the measurements into the README, between its two marks."""
    text = readme.read_text()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    body = measured_text(json.loads(measurements.read_text()))
    readme.write_text(f"{before}{START}\n\n{body}\n{END}{after}")
