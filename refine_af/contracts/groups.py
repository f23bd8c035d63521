"""Parts of a run: which tasks a cluster's graph draws as one box, and pages show together.

A part's name is a path, such as ``learned/data``: a box on the first level, and one inside it.
"""

import re
from collections.abc import Iterable

PREPARE = "prepare"
POLICY = "operator policy: RL"
START = "start"
LAST = "after the arms"
"""Title of the tasks that are in no part: the report, and what comes after it."""

SHARDS_OF_A_PART = 4
"""Shards that still fit a screen, with their artifacts."""

_SHARED = ("check_inputs", "seed_ingest", "generate_instructions", "dedup_filter")
_LAST = ("report", "register_model", "notify")
_OF_THE_MODEL = ("train_sft", "evaluate", "audit_privacy")
_EVOLVING = ("evolve_instructions", "train_operator_policy")

_TASK = re.compile(r"(?P<stage>\w+)(?: \((?P<label>.*)\)|-(?P<folder>.*))?(?:, again \d+)?")


def group_of(stage: str, label: str, *, evolves: bool) -> str:
    """Return the part of a task; empty for one that stands on the first level.

    An arm of the first pipeline is two boxes, because fine-tuning an arm needs the scored rows of
    the others: one box would need a circle. An arm of the second is one box with these two inside.

    Args:
        stage: Name of the stage.
        label: Arm and number of rows, or shard.
        evolves: Whether the run evolves its instructions (the second pipeline).
    """
    if stage in _LAST:
        return ""
    if stage == "train_operator_policy":
        return POLICY
    if stage in _SHARED and (not label or label.startswith("shard")):
        return _shared(label)
    if label == START:
        return START
    arm, *rest = label.split() or ["rl"]  # train_ppo has no label: only one arm learns
    if rest and rest[0].isdigit():
        return f"sizes/{arm}: {rest[0]} rows"
    part = "model" if stage in _OF_THE_MODEL else "data"
    if evolves:
        return f"{arm}/{part}"
    return f"{arm}: PPO and data" if (arm, part) == ("rl", "data") else f"{arm}: {part}"


def _shared(label: str) -> str:
    if not label:
        return PREPARE
    further = int(label.split()[1]) >= SHARDS_OF_A_PART
    return f"{PREPARE}/further shards" if further else f"{PREPARE}/shards"


def grouped(tasks: Iterable[str]) -> dict[str, list[str]]:
    """Return tasks by the title of their part, both in the order of the tasks.

    Args:
        tasks: As people see them, ``evaluate (rl)``, or the names of their folders.
    """
    names = [(name, *_parsed(name)) for name in tasks]
    evolves = any(stage in _EVOLVING for _, stage, _ in names)
    parts: dict[str, list[str]] = {}
    for name, stage, label in names:
        path = group_of(stage, label, evolves=evolves)
        parts.setdefault(path.replace("/", " / ") or LAST, []).append(name)
    return parts


def _parsed(name: str) -> tuple[str, str]:
    """Return stage and label of a task's name."""
    match = _TASK.fullmatch(name)
    if match is None:
        return name, ""
    return match["stage"], (match["label"] or match["folder"] or "").replace("-", " ")
