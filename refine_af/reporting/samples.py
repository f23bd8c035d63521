"""Sample rows: kept, dropped and written during training, drawn at random by the seed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
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
    chosen = [
        (name, row)
        for name, arm in inputs.arms.items()
        for row in _hashed(arm.instances, KEPT_PER_ARM, inputs.seed)
    ]
    known = _behind(inputs, [row for _, row in chosen])
    return [Kept(name, row, _way(row, known)) for name, row in chosen]


def _behind(
    inputs: ReportInputs, rows: Sequence[Instance | Rejected]
) -> dict[str, Seed | Instruction]:
    """Return the rows that some go back to, in two steps, by id."""
    first = _known_rows(inputs, {name for row in rows for name in row.parents})
    second = {name for row in first.values() for name in row.parents}
    return first | _known_rows(inputs, second - first.keys())


def _known_rows(inputs: ReportInputs, ids: set[str]) -> dict[str, Seed | Instruction]:
    if not ids:
        return {}
    rows: Iterable[Seed | Instruction] = chain[Seed | Instruction](
        inputs.seeds, inputs.instructions
    )
    return {row.id: row for row in rows if row.id in ids}


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
    sources = [("", inputs.rejected), *((name, arm.rejected) for name, arm in inputs.arms.items())]
    chosen = [(arm, row) for arm, rows in sources for row in _per_reason(rows, arm, inputs.seed)]
    texts = _texts(inputs, {row.neighbour for _, row in chosen if row.neighbour})
    known = _behind(inputs, [row for _, row in chosen])
    return [
        replace(_dropped(arm, row, texts.get(row.neighbour or "", "")), way=_way(row, known))
        for arm, row in chosen
    ]


def _texts(inputs: ReportInputs, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    texts = {name: row.instruction for name, row in _known_rows(inputs, ids).items()}
    return texts | {row.id: row.text for row in inputs.rejected if row.id in ids}


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


def _per_reason(rows: Iterable[Rejected], arm: str, seed: int) -> list[Rejected]:
    """Return a few rows of each stage and reason, as ``sample`` draws them of each group."""
    counts: Counter[tuple[str, str]] = Counter()
    best: dict[tuple[str, str], list[tuple[int, int, Rejected]]] = {}
    for row in rows:
        key = (row.stage, row.reason)
        index = counts[key]
        counts[key] += 1
        drawn = best.setdefault(key, [])
        drawn.append((derive(seed, "dropped", arm, *key, index), index, row))
        drawn.sort(key=lambda item: item[:2])
        del drawn[DROPPED_PER_REASON:]
    return [row for _, drawn in sorted(best.items()) for *_, row in drawn]


def _hashed(rows: Iterable[Instance], count: int, seed: int) -> list[Instance]:
    """Return the first row of each of ``count`` instructions, drawn by a hash of their id."""
    best: dict[tuple[int, str], Instance] = {}
    for row in rows:
        key = row.parents[0] if row.parents else row.id
        rank = (derive(seed, "kept", key), key)
        best.setdefault(rank, row)
        if len(best) > count:
            del best[max(best)]
    return [best[rank] for rank in sorted(best)]
