"""Sample rows: kept, dropped and written during training, drawn at random by the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from refine_af.contracts.randomness import derive, sample
from refine_af.contracts.records import Instance, Instruction, Rejected, Seed
from refine_af.reporting.funnel import REASONS
from refine_af.reporting.inputs import ReportInputs

KEPT_PER_ARM = 5
DROPPED_PER_REASON = 3
EPISODES_PER_UPDATE = 3


MOST_PARENTS = 8
"""Rows of a prompt that a way shows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row on the way to another: what it was to it, its id and its text."""

    what: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept instance of an arm, and the rows that it was made from."""

    arm: str
    row: Instance
    way: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped row, with the text that it repeats where it is known, and why it was dropped."""

    arm: str
    row: Rejected
    neighbour: str
    why: str
    way: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """Some episodes of one PPO update; ``when`` is start, middle or end."""

    when: str
    update: int
    episodes: tuple[Mapping[str, Any], ...]


def kept_samples(inputs: ReportInputs) -> list[Kept]:
    """Return a few kept instances of each arm; paired arms show the same instructions.

    Rows are ranked by a hash of their instruction's id, so that the arms' samples meet.
    """
    samples = []
    for name, arm in inputs.arms.items():
        by_parent: dict[str, Instance] = {}
        for row in arm.instances:
            by_parent.setdefault(row.parents[0] if row.parents else row.id, row)
        chosen = _hashed(sorted(by_parent), KEPT_PER_ARM, inputs.seed)
        rows = _known_rows(inputs)
        samples += [Kept(name, by_parent[key], _way(by_parent[key], rows)) for key in chosen]
    return samples


def _known_rows(inputs: ReportInputs) -> dict[str, Seed | Instruction]:
    rows: dict[str, Seed | Instruction] = {row.id: row for row in inputs.seeds}
    return rows | {row.id: row for row in inputs.instructions}


def _way(row: Instance | Rejected, rows: Mapping[str, Seed | Instruction]) -> tuple[Step, ...]:
    """Return the rows that a row goes back to: its instruction, and what that one's prompt showed.

    ``refine-af explain`` says the same with prompts, models and scores.
    """
    steps: list[Step] = []
    parents = list(row.parents)
    if len(parents) == 1 and (parent := rows.get(parents[0])) is not None:
        what = "seed" if isinstance(parent, Seed) else "instruction"
        steps.append(Step(what, parent.id, parent.instruction))
        parents = list(parent.parents)
    for name in parents[:MOST_PARENTS]:
        shown = rows.get(name)
        if shown is not None:
            what = "seed shown" if isinstance(shown, Seed) else "shown"
            steps.append(Step(what, shown.id, shown.instruction))
    return tuple(steps)


def dropped_samples(inputs: ReportInputs) -> list[Dropped]:
    """Return a few dropped rows of each stage and reason, those of the arms apart."""
    texts = {row.id: row.instruction for row in inputs.seeds}
    texts |= {row.id: row.instruction for row in inputs.instructions}
    texts |= {row.id: row.text for row in inputs.rejected}
    sources = [("", inputs.rejected), *((name, arm.rejected) for name, arm in inputs.arms.items())]
    known, samples = _known_rows(inputs), []
    for arm, rows in sources:
        for key, group in sorted(_groups(rows).items()):
            for row in sample(group, DROPPED_PER_REASON, inputs.seed, "dropped", arm, *key):
                dropped = _dropped(arm, row, texts.get(row.neighbour or "", ""))
                samples.append(replace(dropped, way=_way(row, known)))
    return samples


def _dropped(arm: str, row: Rejected, neighbour: str) -> Dropped:
    meaning = REASONS.get(row.reason, "")
    if row.reason == "known":
        # A text of the model's training has no row in the run; it stands in the rejection.
        return Dropped(arm, row, row.detail, meaning)
    return Dropped(arm, row, neighbour, row.detail or meaning)


def moments(
    episodes: Sequence[Mapping[str, Any]], seed: int, prompts: Mapping[str, str]
) -> list[Moment]:
    """Return episodes of the first, the middle and the last update, each with its ``prompt``.

    ``prompts`` holds the instruction by prompt id; an unknown one is shown by its id.
    """
    updates = sorted({int(row["update"]) for row in episodes})
    if not updates:
        return []
    indices = {"start": 0, "middle": len(updates) // 2, "end": len(updates) - 1}
    shown_moments, used = [], set()
    for when, index in indices.items():
        update = updates[index]
        if update in used:
            continue
        used.add(update)
        rows = [row for row in episodes if int(row["update"]) == update]
        chosen = sample(rows, EPISODES_PER_UPDATE, seed, "episodes", update)
        shown = [
            {**row, "prompt": prompts.get(str(row["prompt_id"]), str(row["prompt_id"]))}
            for row in chosen
        ]
        shown_moments.append(Moment(when, update, tuple(shown)))
    return shown_moments


def _groups(rows: Sequence[Rejected]) -> dict[tuple[str, str], list[Rejected]]:
    groups: dict[tuple[str, str], list[Rejected]] = {}
    for row in rows:
        groups.setdefault((row.stage, row.reason), []).append(row)
    return groups


def _hashed(keys: list[str], count: int, seed: int) -> list[str]:
    return sorted(keys, key=lambda key: derive(seed, "kept", key))[:count]
