"""The contents of the page, computed once for HTML, Markdown and the metrics."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.records import content_id
from refine_af.evaluation.compare import Comparison, TaskResult
from refine_af.reporting import charts, training_charts
from refine_af.reporting.answer import Answer, find_answer
from refine_af.reporting.charts import Chart
from refine_af.reporting.diversity import Copies, Variety, copies, variety
from refine_af.reporting.funnel import Funnel, build_funnel
from refine_af.reporting.hacking import Signs, find_signs
from refine_af.reporting.inputs import ReportInputs
from refine_af.reporting.novelty import novelty
from refine_af.reporting.samples import (
    Dropped,
    Kept,
    Moment,
    dropped_samples,
    kept_samples,
    moments,
)
from refine_af.reporting.side_by_side import TaskQuestions, predictions_of, side_by_side
from refine_af.reporting.sizes import Curve, find_curve
from refine_af.reporting.style import Style, styles

MOST_TASKS = 2000


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One line of the per-task table: means in [0, 1] per arm, and the paired result."""

    task: str
    category: str
    count: int
    scores: Mapping[str, float]
    result: TaskResult | None


@dataclass(frozen=True, slots=True)
class Contents:
    """All of it. ``facts`` is the manifest, flat; ``left_out`` the tasks beyond the limit."""

    answer: Answer
    funnel: Funnel
    variety: Variety
    copies: Mapping[str, Copies]
    style: Mapping[str, Style]
    curve: Curve | None
    answer_charts: tuple[Chart, ...]
    data_charts: tuple[Chart, ...]
    training_charts: tuple[Chart, ...]
    signs: Signs | None
    moments: tuple[Moment, ...]
    tasks: tuple[TaskRow, ...]
    left_out: int
    kept: tuple[Kept, ...]
    dropped: tuple[Dropped, ...]
    facts: Mapping[str, str]
    side_by_side: tuple[TaskQuestions, ...]


def find_contents(inputs: ReportInputs) -> Contents:
    """Compute everything that the report shows."""
    answer = find_answer(inputs)
    diversity = variety(inputs.instructions, inputs.seeds)
    tasks = _task_rows(answer)
    main = answer.main if isinstance(answer.main, Comparison) else None
    loss = training_charts.sft(inputs.arms)
    curve = find_curve(inputs)
    written = {name: arm.instances for name, arm in inputs.arms.items() if arm.instances}
    return Contents(
        answer=answer,
        funnel=build_funnel(inputs),
        variety=diversity,
        copies={name: copies(rows) for name, rows in written.items()},
        style=styles(written),
        curve=curve,
        answer_charts=(
            *([charts.task_differences(main)] if main else []),
            *([charts.sizes(curve)] if curve else []),
        ),
        data_charts=tuple(_data_charts(inputs, diversity)),
        training_charts=(*training_charts.ppo(inputs.ppo_updates), *([loss] if loss else [])),
        signs=find_signs(inputs.ppo_updates, inputs.ppo_episodes),
        moments=tuple(moments(inputs.ppo_episodes, inputs.seed, _prompts(inputs))),
        tasks=tuple(tasks[:MOST_TASKS]),
        left_out=max(0, len(tasks) - MOST_TASKS),
        kept=tuple(kept_samples(inputs)),
        dropped=tuple(dropped_samples(inputs)),
        facts=flat(inputs.manifest),
        side_by_side=tuple(side_by_side(predictions_of(inputs.arms))),
    )


def run_facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return which run it is, for the first line of the page.

    The run is named by a digest of what it read and of its parameters: equal runs, equal names.
    """
    given = {"model": "model", "data": "seeds_uri", "evaluation": "tasks_uri", "seed": "seed"}
    facts = {name: str(manifest[key]) for name, key in given.items() if key in manifest}
    if manifest.get("reward"):
        facts["reward"] = str(manifest["reward"])
    if manifest:
        facts["run"] = content_id("run", json.dumps(manifest, sort_keys=True, default=str))
    return facts


def is_embedded(manifest: Mapping[str, Any]) -> bool:
    """Return whether the run's model is the embedded test model."""
    return str(manifest.get("model", "")).startswith("builtin:")


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values by dotted name, as text."""
    texts: dict[str, str] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            texts |= flat(item, f"{name}.")
        elif isinstance(item, list | tuple):
            texts[name] = ", ".join(str(part) for part in item)
        else:
            texts[name] = str(item)
    return texts


def _prompts(inputs: ReportInputs) -> dict[str, str]:
    """Return the instruction of each episode's prompt, by its id."""
    wanted = {str(row["prompt_id"]) for row in inputs.ppo_episodes}
    rows = inputs.instructions if wanted else ()
    return {row.id: row.instruction for row in rows if row.id in wanted}


def _data_charts(inputs: ReportInputs, diversity: Variety) -> list[Chart]:
    drawn = []
    if inputs.rounds:
        drawn += [charts.acceptance(inputs.rounds), charts.growth(inputs.rounds)]
        fresh = novelty(inputs.rounds, inputs.instructions, inputs.seeds)
        drawn += [charts.novelty(fresh)] if fresh else []
    if diversity.verbs:
        drawn.append(charts.verbs(diversity))
    if diversity.similarity:
        drawn.append(charts.similarity(diversity))
    return drawn + charts.lengths(diversity, inputs.arms)


def _task_rows(answer: Answer) -> list[TaskRow]:
    names: dict[str, None] = {}
    for summary in answer.summaries.values():
        names |= dict.fromkeys(summary.per_task)
    results: dict[str, TaskResult] = {}
    if isinstance(answer.main, Comparison):
        results = {task.task: task for task in answer.main.tasks}
    rows = []
    for name in sorted(names):
        per_arm = {
            arm: summary.per_task[name]
            for arm, summary in answer.summaries.items()
            if name in summary.per_task
        }
        result = results.get(name)
        rows.append(
            TaskRow(
                task=name,
                category=result.category if result else "",
                count=next(iter(per_arm.values())).count,
                scores={arm: score.rouge_l for arm, score in per_arm.items()},
                result=result,
            )
        )
    return rows
