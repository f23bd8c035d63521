"""TeaMs-RL as one DAG (arXiv 2403.08694), on the stages of the first pipeline and three of its own.

::

    check_inputs -> seed_ingest -> train_operator_policy (for the arm learned)
      each arm: evolve_instructions -> dedup_filter -> generate_responses -> score_rewards
                -> train_sft -> evaluate, audit_privacy (with reference_share: also train_sft on
                   rows of other roots, the reference model of the audit)
      start:                                                              evaluate
    report_evolution

The arms share seeds, calls, models and settings; only the choice of the operators differs. The arm
``no_evolution`` answers the seeds themselves, as many times as the others try operators. The rules
that drop rewrites stand inside ``evolve_instructions``, where the reviewer's probability and the
parent are known; an instruction alone has nothing else that ``score_rewards`` could score.
"""

from typing import Any

from refine_af.pipelines.config import REWARD_NAMES, RunConfig
from refine_af.pipelines.tasks import Flow, Outputs
from refine_af.runner import find_stage

DESCRIPTION = (
    "Instructions evolved by textual operations that a policy chooses; the arms {arms} and the"
    " start model, compared per task."
)


def tasks(flow: Flow, config: RunConfig) -> None:
    """Add the tasks of the arms and sizes that the configuration asks for."""
    checked = flow.add("check_inputs", params=_to_check(config))
    model = {"model_digest": checked.get("model_digest")}
    seeds = flow.add("seed_ingest", params={"seeds_digest": checked.get("seeds_digest")})
    report: dict[str, Any] = {"manifest": checked.get("manifest"), "seeds": seeds.get("seeds")}
    policy = None
    if "learned" in config.arms:
        trained = flow.add(
            "train_operator_policy", inputs={"seeds": seeds.get("seeds")}, params=model
        )
        policy = trained.get("policy")
        report |= {f"policy_{name}": trained.get(name) for name in ("trace", "curve", "table")}
        report["policy_ledger"] = trained.get("ledger")
    tasks = {"tasks_digest": checked.get("tasks_digest")}
    reference = None
    # uniform first: it sets the zero and the unit of the other arms' rewards
    for arm in sorted(config.arms, key=lambda arm: arm != "uniform"):
        report |= _arm(flow, arm, config, seeds, policy, model, tasks, reference)
        reference = reference or report[f"instances_{arm}"]
    start = flow.add("evaluate", "start", params=model | tasks)
    report["predictions_start"] = start.get("predictions")
    report["judging_start"] = start.get("provenance")
    flow.add("report_evolution", inputs=report)


def _to_check(config: RunConfig) -> dict[str, Any]:
    evolve = config.stages.get("evolve_instructions", {})
    wanted: dict[str, Any] = {
        "arms": ",".join(config.arms),
        "operators_uri": evolve.get("operators_uri", "builtin:operators"),
    }
    checked = [("field_map", "seed_ingest"), ("instances", "evaluate")]
    checked += [(name, "score_rewards") for name in REWARD_NAMES]
    for name, stage in checked:
        if name in config.stages.get(stage, {}):
            wanted[name] = config.stages[stage][name]
    return wanted


def _arm(
    flow: Flow,
    arm: str,
    config: RunConfig,
    seeds: Outputs,
    policy: Any,  # noqa: ANN401  a KFP channel or None
    model: dict[str, Any],
    tasks: dict[str, Any],
    reference: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Add one arm and return what the report reads of it."""
    plain = arm == "no_evolution"
    evolved = flow.add(
        "evolve_instructions",
        arm,
        inputs={
            "seeds": seeds.get("seeds"),
            "operator_policy": policy if arm == "learned" else None,
        },
        params=model | {"policy": arm},
    )
    own_seeds = plain or bool(config.stages.get("evolve_instructions", {}).get("keep_seeds"))
    filtered = flow.add(
        "dedup_filter",
        arm,
        inputs={
            "candidates": evolved.get("instructions"),
            "pool": None if own_seeds else seeds.get("seeds"),
        },
        params=tasks,
    )
    answered = flow.add(
        "generate_responses",
        arm,
        inputs={"instructions": filtered.get("kept")},
        params=model | ({"samples": _steps(config)} if plain else {}),
    )
    scored = flow.add(
        "score_rewards",
        arm,
        inputs={"instances": answered.get("instances"), "reference": reference},
        params=model,
    )
    tuned = flow.add("train_sft", arm, inputs={"instances": scored.get("scored")}, params=model)
    judged = flow.add(
        "evaluate", arm, inputs={"adapter": tuned.get("adapter")}, params=model | tasks
    )
    audited = flow.add(
        "audit_privacy",
        arm,
        inputs={
            "adapter": tuned.get("adapter"),
            "instances": scored.get("scored"),
            "used": tuned.get("used"),
            "held_out": answered.get("held_out"),
            "reference": _reference(flow, arm, config, answered, model),
        },
        params=model,
    )
    return {
        f"trace_{arm}": evolved.get("trace"),
        f"ledger_{arm}": evolved.get("ledger"),
        f"kept_{arm}": filtered.get("kept"),
        f"duplicates_{arm}": filtered.get("rejected"),
        f"answering_{arm}": answered.get("ledger"),
        f"unanswered_{arm}": answered.get("rejected"),
        f"instances_{arm}": scored.get("scored"),
        f"used_{arm}": tuned.get("used"),
        f"tuning_{arm}": tuned.get("provenance"),
        f"predictions_{arm}": judged.get("predictions"),
        f"judging_{arm}": judged.get("provenance"),
        f"privacy_{arm}": audited.get("audit"),
    }


def _reference(
    flow: Flow, arm: str, config: RunConfig, answered: Outputs, model: dict[str, Any]
) -> Any:  # noqa: ANN401  a KFP channel or None
    """Train the audit's reference model, where rows are set apart for one."""
    if not config.stages.get("generate_responses", {}).get("reference_share"):
        return None
    rows = {"instances": answered.get("reference_rows")}
    return flow.add("train_sft", f"{arm} reference", inputs=rows, params=model).get("adapter")


def _steps(config: RunConfig) -> int:
    """Return how often each other arm tries an operator on a seed."""
    fields = find_stage("evolve_instructions").params.model_fields
    given = config.stages.get("evolve_instructions", {})
    steps, passes = (int(given.get(name, fields[name].default)) for name in ("steps", "passes"))
    return min(steps * passes, 64)
