"""Reads what the report of an evolution run is made from."""

from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Evolved, Instance, OperatorStep, Prediction, Seed
from refine_af.contracts.stage import task_folder
from refine_af.reporting.evolution_inputs import EvolutionArm, EvolutionInputs
from refine_af.reporting.recorded import Recorded

ARMS = ("learned", "uniform", "fixed_mix", "released_mix", "llm", "no_evolution")
TRAINING = "train_operator_policy"
SETTINGS = {"sft.training": "train_sft", "evaluate": "evaluate"}


def is_evolution(recorded: Recorded) -> bool:
    """Return whether a run evolved its instructions."""
    return bool(recorded.labels("evolve_instructions"))


def read_evolution(recorded: Recorded, seed: int, resamples: int) -> EvolutionInputs:
    """Return everything that the report shows.

    Args:
        recorded: The run's tasks.
        seed: Of the bootstrap and of the samples shown.
        resamples: Of the bootstrap.
    """
    present = [arm for arm in ARMS if task_folder("evolve_instructions", arm) in recorded]
    return EvolutionInputs(
        arms={arm: _arm(recorded, arm) for arm in (*present, "start")},
        seeds=recorded.rows("seed_ingest", "seeds", Seed),
        policy_trace=recorded.rows(TRAINING, "trace", OperatorStep),
        curve=list(recorded.objects(TRAINING, "curve")),
        table=recorded.json(TRAINING, "table"),
        policy_ledger=recorded.json(TRAINING, "ledger"),
        manifest=recorded.json("check_inputs", "manifest"),
        seed=seed,
        resamples=resamples,
    )


def _arm(recorded: Recorded, arm: str) -> EvolutionArm:
    evolved = task_folder("evolve_instructions", arm)
    filtered = task_folder("dedup_filter", arm)
    answered = task_folder("generate_responses", arm)
    used = recorded.objects(task_folder("train_sft", arm), "used")
    return EvolutionArm(
        trace=recorded.rows(evolved, "trace", OperatorStep),
        kept=recorded.rows(filtered, "kept", Evolved),
        duplicates=recorded.rejections(filtered),
        ledger=recorded.json(evolved, "ledger"),
        answering=recorded.json(answered, "ledger"),
        unanswered=recorded.rejections(answered),
        instances=recorded.rows(task_folder("score_rewards", arm), "scored", Instance),
        trained_rows=sum(not row["cut"] for row in used),
        predictions=recorded.rows(task_folder("evaluate", arm), "predictions", Prediction),
        settings=_settings(recorded, arm),
        privacy=recorded.json(task_folder("audit_privacy", arm), "audit"),
    )


def _settings(recorded: Recorded, arm: str) -> dict[str, Scalar]:
    settings: dict[str, Scalar] = {}
    for step, stage in SETTINGS.items():
        provenance = recorded.json(task_folder(stage, arm), "provenance")
        for name, value in provenance.get("params", {}).items():
            if name != "model_digest":
                settings[f"{step}.{name}"] = value
    return settings
