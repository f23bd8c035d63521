"""The report: the arms side by side, their costs, and what became of every row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import write_object
from refine_af.contracts.params import Params, param
from refine_af.contracts.records import Rejected
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.reporting.inputs import Report
from refine_af.reporting.recorded import Recorded

PARTS = tuple(f"records_{number}" for number in range(1, 25))
"""At most eight shards, five arms and eight smaller sizes."""


class ReportParams(Params):
    """How the comparison is resampled."""

    seed: int = param(1, "Seed of the bootstrap and of the samples shown.")
    resamples: int = param(2000, "Resamples of the bootstrap intervals.", ge=100)


def run(params: ReportParams, task: Task) -> Metrics:
    """Read the run's records and render the report of its pipeline."""
    from refine_af.reporting.evolution_reading import is_evolution

    names = [name for name in ("run", *PARTS) if name in task.inputs]
    recorded = Recorded([task.inputs[name] for name in names])
    if not recorded:
        raise DataError(
            f"report: no artifacts of a task in its inputs ({', '.join(names)}); give a run"
        )
    show = _evolution if is_evolution(recorded) else _refine_af
    report, result = show(params, recorded)
    task.outputs["report"].write_text(report.html, encoding="utf-8", newline="\n")
    task.outputs["summary"].write_text(report.markdown, encoding="utf-8", newline="\n")
    write_object(task.outputs["result"], result)
    return dict(report.metrics)


def _refine_af(params: ReportParams, recorded: Recorded) -> tuple[Report, dict[str, Any]]:
    from refine_af.reporting.reading import read_inputs
    from refine_af.reporting.report import render

    inputs = read_inputs(recorded, params.seed, params.resamples)
    report = render(replace(inputs, tasks=_in_order(recorded.tasks())))
    result = {
        "answer": report.answer,
        "arms": _table(inputs.arms, report.metrics, ("rouge_l", "exact_match", "reward")),
        "instructions": len(inputs.instructions),
        "copies": _copies(inputs.rejected, len(inputs.instructions)),
    }
    return report, result


def _evolution(params: ReportParams, recorded: Recorded) -> tuple[Report, dict[str, Any]]:
    from refine_af.reporting.evolution import render
    from refine_af.reporting.evolution_reading import read_evolution

    inputs = read_evolution(recorded, params.seed, params.resamples)
    report = render(replace(inputs, tasks=_in_order(recorded.tasks())))
    names = ("kept", "per_thousand_calls", "diversity", "reward", "rouge_l")
    return report, {"answer": report.answer, "arms": _table(inputs.arms, report.metrics, names)}


def _in_order(tasks: Sequence[str]) -> list[str]:
    """Return the names of tasks' folders in the order of the pipeline, without other folders."""
    from refine_af.stages import STAGES

    names = [stage.name for stage in STAGES]
    known = [task for task in tasks if task.partition("-")[0] in names]
    return sorted(known, key=lambda task: names.index(task.partition("-")[0]))


def _copies(rejected: Sequence[Rejected], kept: int) -> float:
    """Return the share of all written instructions that copied a text of the model's training."""
    known = sum(row.reason == "known" for row in rejected)
    return known / (kept + len(rejected)) if known else 0.0


def _table(arms: Collection[str], metrics: Mapping[str, float], names: Sequence[str]) -> Any:  # noqa: ANN401  JSON
    """Return the numbers per arm; scores are points from 0 to 100, the reward is standardised."""
    return {
        arm: {name: metrics[f"{arm}_{name}"] for name in names if f"{arm}_{name}" in metrics}
        for arm in arms
    }


STAGE = Stage(
    name="report",
    summary="One self-contained HTML report: what RL added, on which tasks, where every row went.",
    params=ReportParams,
    run=run,
    inputs=(
        Artifact("run", "records", "An earlier run, for tasks that no other input has.", True),
        *[
            Artifact(name, "records", "Records of the last task of a part of the run.", True)
            for name in PARTS
        ],
    ),
    outputs=(
        Artifact("report", "html", "The report."),
        Artifact("summary", "markdown", "The same content for the KFP UI."),
        Artifact("result", "json", "The answer, and the numbers per arm."),
    ),
    image="core",
    resources=Resources(cpu="1", memory="4Gi"),
    source="REFINE-AF, section on results: share of tasks that improve over the non-RL pipeline;"
    " TeaMs-RL with controls at equal calls that its code does not have.",
)
