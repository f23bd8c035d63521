"""Automated feedback over any instances: every part and the total; selection when asked for."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import Literal

from refine_af.calls.journalled import JournalledEngine
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import JsonObject, dump_line, parse_object
from refine_af.contracts.params import param
from refine_af.contracts.records import Instance, Rejected
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.contracts.stored_rows import RowSpool, stored_rows
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.opening import open_reward
from refine_af.feedback.given_instances import iter_given, whole
from refine_af.feedback.interface import Triplet, Unscored
from refine_af.feedback.params import RewardParams
from refine_af.feedback.part_table import PartTable
from refine_af.feedback.reward import RAW, Reward
from refine_af.feedback.selection import select

BATCH = 64
TOGETHER = 4096
"""Rows whose totals are worked out together."""

Given = tuple[Instance, JsonObject]
"""A row with the columns that an instance does not have."""


class ScoreRewardsParams(RewardParams):
    """What judges, and what is kept."""

    select: Literal["none", "threshold", "top_k", "best_per_instruction"] = param(
        "none",
        "none only measures, as the paired arms need; the others drop rows with a reason.",
    )
    threshold: float = param(0.0, "Least total, for select=threshold.")
    top_k: int = param(1000, "Rows kept, for select=top_k.", ge=1)


@dataclass(slots=True)
class Scoring:
    """What is held of the rows while they are scored: their texts stay in a temporary file.

    Attributes:
        rows: Those that can be scored, each with its other columns.
        refused: Those that cannot, or that got no score.
        parts: Of the rows that were scored.
        unscored: Numbers of the others.
        raw: The rule's value of each scored row.
        totals: Its total.
    """

    rows: Sequence[Given]
    refused: RowSpool[JsonObject]
    parts: PartTable
    unscored: set[int] = field(default_factory=set)
    raw: "array[float]" = field(default_factory=lambda: array("d"))
    totals: "array[float]" = field(default_factory=lambda: array("d"))

    def scored(self) -> Iterator[tuple[Instance, JsonObject]]:
        """Yield the scored rows without their scores."""
        for number, (row, others) in enumerate(self.rows):
            if number not in self.unscored:
                yield row, others

    def with_scores(self) -> Iterator[tuple[Instance, JsonObject]]:
        """Yield the scored rows with their parts and totals."""
        numbers = zip(self.parts, self.raw, self.totals, strict=True)
        for (row, others), (parts, raw, total) in zip(self.scored(), numbers, strict=True):
            yield row.model_copy(update={"total": total, "parts": parts | {RAW: raw}}), others


def run(params: ScoreRewardsParams, task: Task) -> Metrics:
    """Score every instance; drop by the chosen rule."""
    rows, refused = _read(task.inputs["instances"], task.scratch)
    judges: list[JournalledEngine] = []

    def open_judge(engine: EngineParams) -> JournalledEngine:
        judges.append(
            JournalledEngine(lambda: open_engine(engine), task, "judge", price=engine.money)
        )
        return judges[-1]

    reward = open_reward(params, open_judge)
    names = [name for name in reward.part_names if name != RAW]
    scoring = Scoring(rows, refused, PartTable(names))
    _measure(reward, scoring, task)
    for judge in judges:
        judge.finish()
    if scoring.unscored:
        count = len(scoring.unscored)
        task.progress.say(f"{count} rows got no score and are rejected as unscored")
    reward.observe(_reference(reward, task) if "reference" in task.inputs else scoring.parts)
    for start in range(0, len(scoring.parts), TOGETHER):
        for verdict in reward.combine(scoring.parts[start : start + TOGETHER]):
            scoring.totals.append(verdict.total)
            scoring.raw.append(verdict.raw)
    dropped = _choose(params, scoring)
    _write(scoring, dropped, task)
    _preflight(reward, scoring.parts, task)
    return _metrics(scoring, dropped)


def _read(path: Path, scratch: Path) -> tuple[Sequence[Given], RowSpool[JsonObject]]:
    """Return all rows, checked, and those that cannot be scored."""
    rows = RowSpool(_given, scratch)
    refused = RowSpool(lambda line: parse_object(line, "refused rows"), scratch)
    for item in iter_given(path):
        if isinstance(item, Rejected):
            refused.add(item)
        else:
            rows.add({"row": item[0].model_dump(mode="json"), "others": item[1]})
    given = rows.rows()
    if not given:
        raise DataError(f"{path}: no row with an output; nothing to score")
    return given, refused


def _given(line: bytes) -> Given:
    value = parse_object(line, "rows to score")
    return Instance.model_validate(value["row"]), value["others"]


def _measure(reward: Reward, scoring: Scoring, task: Task) -> None:
    """Take in the parts of each row, and refuse those that get none."""
    done = 0
    rows = iter(scoring.rows)
    while batch := [row for row, _ in islice(rows, BATCH)]:
        measured = reward.measure(
            [Triplet(row.instruction, row.input, row.output) for row in batch]
        )
        for number, (row, parts) in enumerate(zip(batch, measured, strict=True), start=done):
            if isinstance(parts, dict):
                scoring.parts.add(parts)
            else:
                scoring.unscored.add(number)
                detail = parts.reason if isinstance(parts, Unscored) else ""
                refusal = Rejected.make(
                    "score_rewards", "unscored", row.output, (row.id,), detail=detail
                )
                scoring.refused.add(refusal)
        done += len(batch)
        task.progress.step(done, len(scoring.rows), "rows")


def _reference(reward: Reward, task: Task) -> PartTable:
    """Return the parts of rows that were scored before, so that arms share zero and unit.

    Without it each file is standardised by itself, and every arm's mean total is zero.

    Raises:
        DataError: When a row lacks a part that the preset weighs.
    """
    parts = PartTable(list(reward.preset.weights))
    for row in stored_rows(task.inputs["reference"], Instance):
        missing = [name for name in reward.preset.weights if name not in row.parts]
        if missing:
            raise DataError(
                f"reference, row {row.id}: no part {missing[0]!r}; score the reference with the"
                f" preset {reward.preset.name!r} first"
            )
        parts.add(row.parts)
    return parts


def _choose(params: ScoreRewardsParams, scoring: Scoring) -> dict[int, tuple[str, str]]:
    """Return reason and detail of each scored row that is dropped, by its number."""
    if params.select == "best_per_instruction":
        return _not_best(scoring)
    chosen = select(
        scoring.totals,
        threshold=params.threshold if params.select == "threshold" else None,
        top_k=params.top_k if params.select == "top_k" else None,
    )
    return {item.position: (item.reason, item.detail) for item in chosen.dropped}


def _not_best(scoring: Scoring) -> dict[int, tuple[str, str]]:
    best: dict[str, int] = {}
    totals = scoring.totals
    for index, (row, _) in enumerate(scoring.scored()):
        key = row.parents[0] if row.parents else row.instruction
        if key not in best or totals[index] > totals[best[key]]:
            best[key] = index
    keep = set(best.values())
    why = ("not_best", "another instance of the instruction scored higher")
    return {index: why for index in range(len(totals)) if index not in keep}


def _write(scoring: Scoring, dropped: Mapping[int, tuple[str, str]], task: Task) -> None:
    """Write the rows that stay, and the others behind those that got no score."""
    with (
        task.outputs["scored"].open("w", encoding="utf-8", newline="\n") as scored,
        task.outputs["rejected"].open("w", encoding="utf-8", newline="\n") as rejected,
    ):
        for refused in scoring.refused:
            rejected.write(dump_line(refused))
        for index, (row, others) in enumerate(scoring.with_scores()):
            if index in dropped:
                rejected.write(dump_line(_rejected(row, *dropped[index])))
            else:
                scored.write(dump_line(whole(row, others)))


def _rejected(row: Instance, reason: str, detail: str) -> Rejected:
    return Rejected.make(
        "score_rewards", reason, row.output, (row.id,), score=row.total, detail=detail
    )


def _preflight(reward: Reward, parts: PartTable, task: Task) -> None:
    if len(parts) < 2:
        return
    import numpy as np

    from refine_af.feedback.preflight import preflight_of_columns

    columns = {name: np.asarray(column) for name, column in parts.columns.items()}
    result = preflight_of_columns(columns, reward.preset)
    for warning in result.warnings:
        task.progress.say(warning)
    task.telemetry["warnings"] = list(result.warnings)


def _metrics(scoring: Scoring, dropped: Mapping[int, tuple[str, str]]) -> Metrics:
    stays = [index not in dropped for index in range(len(scoring.totals))]
    kept = sum(stays)
    rejected = len(scoring.refused) + len(dropped)
    metrics: Metrics = {"rows": kept, "rejected": rejected}
    if kept:
        columns = {**scoring.parts.columns, RAW: scoring.raw}
        metrics["total"] = sum(compress(scoring.totals, stays)) / kept
        for name in sorted(columns):
            metrics[name] = sum(compress(columns[name], stays)) / kept
    return metrics


STAGE = Stage(
    name="score_rewards",
    summary="Score instruction-input-output rows by automated feedback, every part kept.",
    params=ScoreRewardsParams,
    run=run,
    inputs=(
        Artifact(
            "instances",
            "rows",
            "Instances to score: ours, or any JSON Lines with `instruction`, `output` and perhaps"
            " `input` and `id`; other columns pass through.",
        ),
        Artifact(
            "reference", "rows", "Scored rows that set the zero and unit of totals.", optional=True
        ),
    ),
    outputs=(
        Artifact("scored", "rows", "The instances with `parts` and `total`.", shown=True),
        Artifact(
            "rejected",
            "rows",
            "Dropped rows with the rule; empty when only measuring.",
            record=Rejected,
            shown=True,
        ),
    ),
    image="train",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="REFINE-AF, stage 2 reward; InstructMining (arXiv 2307.06290); UniEval (EMNLP 2022).",
)
