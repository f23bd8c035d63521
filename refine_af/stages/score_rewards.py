"""Automated feedback over any instances: every part and the total; selection when asked for."""

from collections.abc import Sequence
from typing import Literal

from refine_af.calls.journalled import JournalledEngine
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import Instance, Rejected
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.opening import open_reward
from refine_af.feedback.given_instances import read_given
from refine_af.feedback.interface import Scored, Triplet, Unscored
from refine_af.feedback.params import RewardParams
from refine_af.feedback.reward import Measured, Reward
from refine_af.feedback.selection import select

BATCH = 64


class ScoreRewardsParams(RewardParams):
    """What judges, and what is kept."""

    select: Literal["none", "threshold", "top_k", "best_per_instruction"] = param(
        "none",
        "none only measures, as the paired arms need; the others drop rows with a reason.",
    )
    threshold: float = param(0.0, "Least total, for select=threshold.")
    top_k: int = param(1000, "Rows kept, for select=top_k.", ge=1)


def run(params: ScoreRewardsParams, task: Task) -> Metrics:
    """Score every instance; drop by the chosen rule."""
    given = read_given(task.inputs["instances"])
    rows = given.rows
    if not rows:
        raise DataError(f"{task.inputs['instances']}: no row with an output; nothing to score")
    judges: list[JournalledEngine] = []

    def open_judge(engine: EngineParams) -> JournalledEngine:
        judges.append(JournalledEngine(lambda: open_engine(engine), task, "judge"))
        return judges[-1]

    reward = open_reward(params, open_judge)
    measured = _measure(reward, rows, task)
    for judge in judges:
        judge.finish()
    rows, parts, unscored = _scored_alone(rows, measured)
    if unscored:
        task.progress.say(f"{len(unscored)} rows got no score and are rejected as unscored")
    reward.observe(_reference(reward, task) if "reference" in task.inputs else parts)
    scored = [
        _with_score(row, score) for row, score in zip(rows, reward.combine(parts), strict=True)
    ]
    kept, dropped = _choose(params, scored)
    dropped = [*given.empty, *unscored, *dropped]
    write_rows(task.outputs["scored"], map(given.whole, kept))
    write_rows(task.outputs["rejected"], dropped)
    _preflight(reward, parts, task)
    return _metrics(kept, dropped)


def _measure(reward: Reward, rows: list[Instance], task: Task) -> list[Measured]:
    parts: list[Measured] = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        parts += reward.measure([Triplet(row.instruction, row.input, row.output) for row in batch])
        task.progress.step(len(parts), len(rows), "rows")
    return parts


def _scored_alone(
    rows: Sequence[Instance], measured: Sequence[Measured]
) -> tuple[list[Instance], list[Measured], list[Rejected]]:
    """Return the rows with parts, their parts, and the rejections of the others."""
    pairs = list(zip(rows, measured, strict=True))
    unscored = [
        Rejected.make("score_rewards", "unscored", row.output, (row.id,), detail=one.reason)
        for row, one in pairs
        if isinstance(one, Unscored)
    ]
    scored = [(row, one) for row, one in pairs if not isinstance(one, Unscored)]
    return [row for row, _ in scored], [one for _, one in scored], unscored


def _reference(reward: Reward, task: Task) -> list[Measured]:
    """Return the parts of rows that were scored before, so that arms share zero and unit.

    Without it each file is standardised by itself, and every arm's mean total is zero.

    Raises:
        DataError: When a row lacks a part that the preset weighs.
    """
    parts: list[Measured] = []
    for row in read_rows(task.inputs["reference"], Instance):
        missing = [name for name in reward.preset.weights if name not in row.parts]
        if missing:
            raise DataError(
                f"reference, row {row.id}: no part {missing[0]!r}; score the reference with the"
                f" preset {reward.preset.name!r} first"
            )
        parts.append(dict(row.parts))
    return parts


def _with_score(row: Instance, scored: Scored) -> Instance:
    return row.model_copy(update={"total": scored.total, "parts": dict(scored.parts)})


def _choose(
    params: ScoreRewardsParams, rows: list[Instance]
) -> tuple[list[Instance], list[Rejected]]:
    totals = [row.total if row.total is not None else 0.0 for row in rows]
    if params.select == "best_per_instruction":
        return _best_per_instruction(rows, totals)
    chosen = select(
        totals,
        threshold=params.threshold if params.select == "threshold" else None,
        top_k=params.top_k if params.select == "top_k" else None,
    )
    dropped = [_rejected(rows[item.position], item.reason, item.detail) for item in chosen.dropped]
    return [rows[index] for index in chosen.kept], dropped


def _best_per_instruction(
    rows: list[Instance], totals: list[float]
) -> tuple[list[Instance], list[Rejected]]:
    best: dict[str, int] = {}
    for index, row in enumerate(rows):
        key = row.parents[0] if row.parents else row.instruction
        if key not in best or totals[index] > totals[best[key]]:
            best[key] = index
    keep = set(best.values())
    dropped = [
        _rejected(row, "not_best", "another instance of the instruction scored higher")
        for index, row in enumerate(rows)
        if index not in keep
    ]
    return [row for index, row in enumerate(rows) if index in keep], dropped


def _rejected(row: Instance, reason: str, detail: str) -> Rejected:
    return Rejected.make(
        "score_rewards", reason, row.output, (row.id,), score=row.total, detail=detail
    )


def _preflight(reward: Reward, parts: Sequence[Measured], task: Task) -> None:
    real = [row for row in parts if isinstance(row, dict)]
    if len(real) < 2:
        return
    from refine_af.feedback.preflight import preflight

    result = preflight(real, reward.preset)
    for warning in result.warnings:
        task.progress.say(warning)
    task.telemetry["warnings"] = list(result.warnings)


def _metrics(kept: list[Instance], dropped: list[Rejected]) -> Metrics:
    metrics: Metrics = {"rows": len(kept), "rejected": len(dropped)}
    names = sorted({name for row in kept for name in row.parts})
    if kept:
        metrics["total"] = sum(row.total or 0.0 for row in kept) / len(kept)
    for name in names:
        metrics[name] = sum(row.parts[name] for row in kept) / len(kept)
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
