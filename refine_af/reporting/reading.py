"""Reads what the report of a REFINE-AF run is made from."""

from dataclasses import replace
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Instance, Instruction, Prediction, Seed
from refine_af.contracts.stage import task_folder
from refine_af.reporting.inputs import ArmInputs, ReportInputs, Round, SizePoint
from refine_af.reporting.recorded import Recorded

ARMS = ("rl", "baseline", "best_of_n", "start", "baseline_b")
TWIN = "baseline_b"
"""Its scores and settings are compared; its rows would be shown twice."""

SETTINGS = {
    "sft.instances": "generate_instances",
    "sft.training": "train_sft",
    "evaluate": "evaluate",
}
"""Prefix of each step's settings; the untuned start model is compared without the ``sft.`` ones."""
MAY_DIFFER = {"samples", "temperature"}  # greedy samples of best_of_n would all be the same


def read_inputs(recorded: Recorded, seed: int, resamples: int) -> ReportInputs:
    """Return everything that the report shows.

    Args:
        recorded: The run's tasks.
        seed: Of the bootstrap and of the samples shown.
        resamples: Of the bootstrap.
    """
    shards = ["generate_instructions", *_shards(recorded)]
    alarms = recorded.json("train_ppo", "alarms")
    return ReportInputs(
        arms={arm: _arm(recorded, arm) for arm in ARMS if task_folder("evaluate", arm) in recorded},
        seeds=recorded.rows("seed_ingest", "seeds", Seed),
        instructions=recorded.rows("dedup_filter", "kept", Instruction),
        rejected=recorded.rejections(*shards, "dedup_filter"),
        rounds=_rounds(recorded, [task for task in shards if task in recorded]),
        ppo_updates=list(recorded.objects("train_ppo", "curves")),
        ppo_episodes=list(recorded.objects("train_ppo", "episodes")),
        ppo_alarms=[alarm["message"] for alarm in alarms.get("alarms", [])],
        ppo_stopped=alarms.get("stopped", ""),
        manifest=_manifest(recorded),
        sizes=_sizes(recorded),
        seed=seed,
        resamples=resamples,
    )


def _shards(recorded: Recorded) -> list[str]:
    return [
        task_folder("generate_instructions", label)
        for label in recorded.labels("generate_instructions")
    ]


def _arm(recorded: Recorded, arm: str) -> ArmInputs:
    scored, tuned = task_folder("score_rewards", arm), task_folder("train_sft", arm)
    used = recorded.objects(tuned, "used")
    compared = ArmInputs(
        used=used,
        predictions=recorded.rows(task_folder("evaluate", arm), "predictions", Prediction),
        settings=_settings(recorded, arm),
    )
    if arm == TWIN:
        return compared
    return replace(
        compared,
        instances=recorded.rows(scored, "scored", Instance),
        rejected=recorded.rejections(task_folder("generate_instances", arm), scored),
        sft_history=list(recorded.objects(tuned, "history")),
    )


def _settings(recorded: Recorded, arm: str) -> dict[str, Scalar]:
    """Return what must be equal between arms: the parameters and inputs of each step.

    The number of samples is what makes ``best_of_n`` another arm, so it may differ. The rows of
    every step come from one state of the code, and paired arms train on equally many.
    """
    settings: dict[str, Scalar] = {}
    for step, stage in SETTINGS.items():
        provenance = recorded.json(task_folder(stage, arm), "provenance")
        for name, value in provenance.get("params", {}).items():
            if name not in MAY_DIFFER:
                settings[f"{step}.{name}"] = value
        if "code" in provenance:
            settings[f"{step}.code"] = provenance["code"]
        for name in ("instructions", "seeds"):
            if name in provenance.get("inputs", {}):
                settings[f"{step}.{name}_digest"] = provenance["inputs"][name]
    tuned = task_folder("train_sft", arm)
    if recorded.path(tuned, "used"):
        used = recorded.objects(tuned, "used")
        settings["sft.rows_trained_on"] = sum(not row["cut"] for row in used)
    return settings


def _sizes(recorded: Recorded) -> list[SizePoint]:
    """Return the evaluations of models trained on nested subsets: tasks such as evaluate-rl-500."""
    named = [label.rpartition("-") for label in recorded.labels("evaluate")]
    points = [
        (int(rows), ARMS.index(arm)) for arm, _, rows in named if arm in ARMS and rows.isdecimal()
    ]
    return [
        SizePoint(
            ARMS[arm],
            rows,
            recorded.rows(
                task_folder("evaluate", f"{ARMS[arm]} {rows}"), "predictions", Prediction
            ),
        )
        for rows, arm in sorted(points)
    ]


def _manifest(recorded: Recorded) -> dict[str, Any]:
    """Return the run's manifest with the parameters of PPO under its own key."""
    manifest = recorded.json("check_inputs", "manifest")
    ppo = recorded.json("train_ppo", "provenance")
    return manifest | ({"train_ppo": ppo["params"]} if ppo else {})


def _rounds(recorded: Recorded, shards: list[str]) -> list[Round]:
    names = ("requested", "returned", "parsed", "kept")
    return [
        Round(**{name: row[name] for name in names}, shard=number)
        for number, task in enumerate(shards)
        for row in recorded.objects(task, "rounds")
    ]
