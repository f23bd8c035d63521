"""The report of an evolution run: the arms side by side, with their costs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from refine_af.contracts.jsonl import write_object
from refine_af.contracts.params import Params, Scalar, param
from refine_af.contracts.records import Evolved, Instance, OperatorStep, Prediction, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.reporting.given_files import (
    given_json,
    given_objects,
    given_rejections,
    given_rows,
)

if TYPE_CHECKING:
    from refine_af.reporting.evolution_inputs import EvolutionArm

ARMS = ("learned", "uniform", "fixed_mix", "released_mix", "llm", "no_evolution")
PARTS: dict[str, tuple[str, str]] = {
    "trace": ("rows", "Operations of the arm"),
    "ledger": ("json", "Calls of evolve_instructions, of the arm"),
    "kept": ("rows", "Instructions after the filter, of the arm"),
    "duplicates": ("rows", "What the filter dropped, of the arm"),
    "answering": ("json", "Calls of generate_responses, of the arm"),
    "unanswered": ("rows", "Answers that were dropped, of the arm"),
    "instances": ("rows", "Scored instances of the arm"),
    "used": ("rows", "Rows that fine-tuning used or left out, of the arm"),
    "tuning": ("json", "Provenance of train_sft, of the arm"),
    "predictions": ("rows", "Scored answers to the evaluation tasks, of the arm"),
    "judging": ("json", "Provenance of evaluate, of the arm"),
    "privacy": ("json", "Result of audit_privacy, of the arm"),
}


class ReportEvolutionParams(Params):
    """How the comparison is resampled."""

    seed: int = param(1, "Seed of the bootstrap and of the samples shown.")
    resamples: int = param(2000, "Resamples of the bootstrap intervals.", ge=100)


def run(params: ReportEvolutionParams, task: Task) -> Metrics:
    """Read every artifact that is there and render the report."""
    from refine_af.reporting.evolution import render
    from refine_af.reporting.evolution_inputs import EvolutionInputs

    present = [arm for arm in ARMS if f"kept_{arm}" in task.inputs]
    inputs = EvolutionInputs(
        arms={arm: _arm(task, arm) for arm in (*present, "start")},
        seeds=given_rows(task, "seeds", Seed),
        policy_trace=given_rows(task, "policy_trace", OperatorStep),
        curve=list(given_objects(task, "policy_curve")),
        table=given_json(task, "policy_table"),
        policy_ledger=given_json(task, "policy_ledger"),
        manifest=given_json(task, "manifest"),
        seed=params.seed,
        resamples=params.resamples,
    )
    report = render(inputs)
    task.outputs["report"].write_text(report.html, encoding="utf-8", newline="\n")
    task.outputs["summary"].write_text(report.markdown, encoding="utf-8", newline="\n")
    result = {"answer": report.answer, "arms": _table(list(inputs.arms), report.metrics)}
    write_object(task.outputs["result"], result)
    return dict(report.metrics)


def _table(arms: list[str], metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    names = ("kept", "per_thousand_calls", "diversity", "reward", "rouge_l")
    return {
        arm: {name: metrics[f"{arm}_{name}"] for name in names if f"{arm}_{name}" in metrics}
        for arm in arms
    }


def _arm(task: Task, arm: str) -> "EvolutionArm":
    from refine_af.reporting.evolution_inputs import EvolutionArm

    return EvolutionArm(
        trace=given_rows(task, f"trace_{arm}", OperatorStep),
        kept=given_rows(task, f"kept_{arm}", Evolved),
        duplicates=given_rejections(task, f"duplicates_{arm}"),
        ledger=given_json(task, f"ledger_{arm}"),
        answering=given_json(task, f"answering_{arm}"),
        unanswered=given_rejections(task, f"unanswered_{arm}"),
        instances=given_rows(task, f"instances_{arm}", Instance),
        trained_rows=sum(not row["cut"] for row in given_objects(task, f"used_{arm}")),
        predictions=given_rows(task, f"predictions_{arm}", Prediction),
        settings=_settings(task, arm),
        privacy=given_json(task, f"privacy_{arm}"),
    )


def _settings(task: Task, arm: str) -> dict[str, Scalar]:
    settings: dict[str, Scalar] = {}
    for part, step in (("tuning", "sft.training"), ("judging", "evaluate")):
        for name, value in given_json(task, f"{part}_{arm}").get("params", {}).items():
            if name != "model_digest":
                settings[f"{step}.{name}"] = value
    return settings


STAGE = Stage(
    name="report_evolution",
    summary="One self-contained HTML report: what the learned policy adds over a random one.",
    params=ReportEvolutionParams,
    run=run,
    inputs=(
        Artifact("manifest", "json", "What the run read, with digests.", True),
        Artifact("seeds", "rows", "Seed tasks.", True),
        Artifact("policy_trace", "rows", "Operations of the policy's training.", True),
        Artifact("policy_curve", "rows", "Numbers per update of the policy.", True),
        Artifact("policy_table", "json", "The one-step table.", True),
        Artifact("policy_ledger", "json", "Calls of the policy's training.", True),
        *[
            Artifact(f"{part}_{arm}", kind, f"{text} {arm}.", optional=True)  # type: ignore[arg-type]
            for arm in (*ARMS, "start")
            for part, (kind, text) in PARTS.items()
            if arm != "start" or part in ("predictions", "judging")
        ],
    ),
    outputs=(
        Artifact("report", "html", "The report."),
        Artifact("summary", "markdown", "The same content for the KFP UI."),
        Artifact("result", "json", "The answer, and the numbers per arm."),
    ),
    image="core",
    resources=Resources(cpu="1", memory="4Gi"),
    source="project choice: the controls that TeaMs-RL's code does not have, at equal calls.",
)
