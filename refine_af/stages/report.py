"""The report: the paired comparison first, then what became of every row."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from refine_af.contracts.jsonl import write_object
from refine_af.contracts.params import Params, Scalar, listed, param, rule
from refine_af.contracts.records import Instance, Instruction, Prediction, Rejected, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.reporting.given_files import (
    given_json,
    given_objects,
    given_rejections,
    given_rows,
)

if TYPE_CHECKING:
    from refine_af.reporting.inputs import ArmInputs, Round, SizePoint

SHARDS = range(2, 9)
ARMS = ("rl", "baseline", "best_of_n", "start", "baseline_b")
MOST_SIZES = 4
SIZES = range(1, 2 * MOST_SIZES + 1)
"""Numbers of the inputs with smaller sizes: two arms of each."""
PARTS: dict[str, str] = {
    "instances": "Scored instances of the arm",
    "rejected": "Instances that were dropped when they were written, of the arm",
    "unselected": "Instances that the selection by reward dropped, of the arm",
    "writing": "Provenance of generate_instances, of the arm",
    "used": "Rows that fine-tuning used or left out, of the arm",
    "history": "Loss per step of fine-tuning, of the arm",
    "tuning": "Provenance of train_sft, of the arm",
    "predictions": "Scored answers to the evaluation tasks, of the arm",
    "judging": "Provenance of evaluate, of the arm",
}
SETTINGS = {"writing": "sft.instances", "tuning": "sft.training", "judging": "evaluate"}
"""Prefix of each step's settings; the untuned start model is compared without the ``sft.`` ones."""
MAY_DIFFER = {"samples", "temperature"}  # greedy samples of best_of_n would all be the same
ONLY = {
    "start": ("predictions", "judging"),
    "baseline_b": ("used", "writing", "tuning", "predictions", "judging"),
}
"""Inputs of an arm that the report shows; all of them for arms that are not listed."""


class ReportParams(Params):
    """How the comparison is resampled."""

    seed: int = param(1, "Seed of the bootstrap and of the samples shown.")
    resamples: int = param(2000, "Resamples of the bootstrap intervals.", ge=100)
    sizes: str = param("", "Arm and rows of each predictions_size input: rl:500,baseline:500,...")

    @property
    def points(self) -> list[tuple[str, int]]:
        """Return arm and rows of each evaluation of a smaller size."""
        named = [entry.partition(":") for entry in listed(self.sizes)]
        return [(arm, int(rows)) for arm, _, rows in named]

    @rule("sizes")
    def sizes_are_readable(self) -> str:
        """``sizes`` is a list of ``arm:rows``."""
        rows = [entry.partition(":")[2] for entry in listed(self.sizes)]
        return "" if all(map(str.isdecimal, rows)) else "write arm and rows of each, as in rl:500"

    @rule("sizes", reads_inputs=True)
    def sizes_match_the_inputs(self, inputs: Collection[str]) -> str:
        """Every evaluation of a smaller size is named."""
        given = sum(name.startswith("predictions_size_") for name in inputs)
        if len(self.points) != given:
            return f"it must name arm and rows of each of the {given} inputs predictions_size"
        return ""


def run(params: ReportParams, task: Task) -> Metrics:
    """Read every artifact that is there and render the report."""
    from refine_af.reporting.inputs import ReportInputs
    from refine_af.reporting.report import render

    alarms = given_json(task, "ppo_alarms")
    inputs = ReportInputs(
        arms={arm: _arm(task, arm) for arm in ARMS if f"predictions_{arm}" in task.inputs},
        seeds=given_rows(task, "seeds", Seed),
        instructions=given_rows(task, "instructions", Instruction),
        rejected=given_rejections(
            task, "rejected", *[f"rejected_{shard}" for shard in SHARDS], "duplicates"
        ),
        rounds=_rounds(task),
        ppo_updates=list(given_objects(task, "ppo_curves")),
        ppo_episodes=list(given_objects(task, "ppo_episodes")),
        ppo_alarms=[alarm["message"] for alarm in alarms.get("alarms", [])],
        ppo_stopped=alarms.get("stopped", ""),
        manifest=_manifest(task),
        sizes=_sizes(params, task),
        seed=params.seed,
        resamples=params.resamples,
    )
    report = render(inputs)
    task.outputs["report"].write_text(report.html, encoding="utf-8", newline="\n")
    task.outputs["summary"].write_text(report.markdown, encoding="utf-8", newline="\n")
    result = {
        "answer": report.answer,
        "arms": _arm_table(list(inputs.arms), report.metrics),
        "instructions": len(inputs.instructions),
        "copies": _copies(inputs.rejected, len(inputs.instructions)),
    }
    write_object(task.outputs["result"], result)
    return dict(report.metrics)


def _copies(rejected: Sequence[Rejected], kept: int) -> float:
    """Return the share of all written instructions that copied a text of the model's training."""
    known = sum(row.reason == "known" for row in rejected)
    return known / (kept + len(rejected)) if known else 0.0


def _arm_table(arms: list[str], metrics: Metrics) -> dict[str, Metrics]:
    """Return the scores per arm, points from 0 to 100; the reward in standard deviations."""
    names = ("rouge_l", "exact_match", "reward")
    return {
        arm: {name: metrics[f"{arm}_{name}"] for name in names if f"{arm}_{name}" in metrics}
        for arm in arms
    }


def _arm(task: Task, arm: str) -> "ArmInputs":
    from refine_af.reporting.inputs import ArmInputs

    return ArmInputs(
        instances=given_rows(task, f"instances_{arm}", Instance),
        rejected=given_rejections(task, f"rejected_{arm}", f"unselected_{arm}"),
        used=list(given_objects(task, f"used_{arm}")),
        sft_history=list(given_objects(task, f"history_{arm}")),
        predictions=given_rows(task, f"predictions_{arm}", Prediction),
        settings=_settings(task, arm),
    )


def _settings(task: Task, arm: str) -> dict[str, Scalar]:
    """Return what must be equal between arms: the parameters and inputs of each step.

    The number of samples is what makes ``best_of_n`` another arm, so it may differ. The rows of
    every step come from one state of the code, and paired arms train on equally many.
    """
    settings: dict[str, Scalar] = {}
    for part, step in SETTINGS.items():
        provenance = given_json(task, f"{part}_{arm}")
        for name, value in provenance.get("params", {}).items():
            if name not in MAY_DIFFER:
                settings[f"{step}.{name}"] = value
        if "code" in provenance:
            settings[f"{step}.code"] = provenance["code"]
        for name in ("instructions", "seeds"):
            if name in provenance.get("inputs", {}):
                settings[f"{step}.{name}_digest"] = provenance["inputs"][name]
    if f"used_{arm}" in task.inputs:
        rows = [row for row in given_objects(task, f"used_{arm}") if not row["cut"]]
        settings["sft.rows_trained_on"] = len(rows)
    return settings


def _sizes(params: ReportParams, task: Task) -> "list[SizePoint]":
    """Return the evaluations of models trained on nested subsets."""
    from refine_af.reporting.inputs import SizePoint

    given = [number for number in SIZES if f"predictions_size_{number}" in task.inputs]
    return [
        SizePoint(arm, rows, given_rows(task, f"predictions_size_{number}", Prediction))
        for (arm, rows), number in zip(params.points, given, strict=True)
    ]


def _manifest(task: Task) -> dict[str, Any]:
    """Return the run's manifest with the provenance of PPO under its own key."""
    manifest = given_json(task, "manifest")
    ppo = given_json(task, "ppo_provenance")
    return manifest | ({"train_ppo": ppo["params"]} if ppo else {})


def _rounds(task: Task) -> "list[Round]":
    from refine_af.reporting.inputs import Round

    names = ("requested", "returned", "parsed", "kept")
    return [
        Round(**{name: row[name] for name in names}, shard=shard)
        for shard, artifact in enumerate(("rounds", *[f"rounds_{number}" for number in SHARDS]))
        for row in given_objects(task, artifact)
    ]


STAGE = Stage(
    name="report",
    summary="One self-contained HTML report: did RL help, on which tasks, where every row went.",
    params=ReportParams,
    run=run,
    inputs=(
        Artifact("manifest", "json", "What the run read, with digests.", True),
        Artifact("seeds", "rows", "Seed tasks.", True),
        Artifact("instructions", "rows", "Instructions after all filters.", True),
        Artifact("rejected", "rows", "Instructions that the bootstrap dropped.", True),
        Artifact("duplicates", "rows", "Instructions that the filter dropped.", True),
        Artifact("rounds", "rows", "Rounds of the bootstrap.", True),
        *[
            Artifact(f"{name}_{shard}", "rows", f"The same of shard {shard - 1}.", optional=True)
            for name in ("rejected", "rounds")
            for shard in SHARDS
        ],
        Artifact("ppo_curves", "rows", "Numbers per PPO update.", True),
        Artifact("ppo_episodes", "rows", "PPO episodes.", True),
        Artifact("ppo_alarms", "json", "Signs of reward hacking.", True),
        Artifact("ppo_provenance", "json", "Provenance of train_ppo.", True),
        *[
            Artifact(
                f"{part}_{arm}",
                "json" if part in SETTINGS else "rows",
                f"{text} {arm}.",
                optional=True,
            )
            for arm in ARMS
            for part, text in PARTS.items()
            if part in ONLY.get(arm, PARTS)
        ],
        *[
            Artifact(f"predictions_size_{number}", "rows", "Answers after training on less.", True)
            for number in SIZES
        ],
    ),
    outputs=(
        Artifact("report", "html", "The report."),
        Artifact("summary", "markdown", "The same content for the KFP UI."),
        Artifact("result", "json", "The answer, and three numbers per arm."),
    ),
    image="core",
    resources=Resources(cpu="1", memory="4Gi"),
    source="REFINE-AF, section on results: share of tasks that improve over the non-RL pipeline.",
)
