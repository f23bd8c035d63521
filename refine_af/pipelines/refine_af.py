"""REFINE-AF as one DAG (arXiv 2505.06548): a straight line of tasks per arm.

::

    check_inputs -> seed_ingest -> generate_instructions (shards) -> dedup_filter
      rl:         train_ppo -> generate_instances -> score_rewards -> train_sft -> evaluate
      baseline:                generate_instances -> score_rewards -> train_sft -> evaluate
      best_of_n:               generate_instances -> score_rewards -> train_sft -> evaluate
      start:                                                                       evaluate
      rl, baseline on the first N rows, where sizes are asked for:    train_sft -> evaluate
    report

``baseline_b`` is the baseline with other draws (A/A).

The arms share instructions, counts, seeds and settings; only the writer of the instances differs.
"""

from typing import Any

from refine_af.pipelines.config import REWARD_NAMES, RunConfig
from refine_af.pipelines.tasks import Flow, Outputs
from refine_af.runner import find_stage
from refine_af.stages.train_sft import MATCHES

DESCRIPTION = (
    "Instruction data and a fine-tuned model from automated feedback; the arms {arms} and the start"
    " model, compared per task."
)


def tasks(flow: Flow, config: RunConfig) -> None:
    """Add the tasks of the arms and sizes that the configuration asks for."""
    checked = flow.add("check_inputs", params=_to_check(config))
    model = {"model_digest": checked.get("model_digest")}
    seeds = flow.add("seed_ingest", params={"seeds_digest": checked.get("seeds_digest")})
    shards = [
        flow.add(
            "generate_instructions",
            f"shard {number}" if config.shards > 1 else "",
            inputs={"seeds": seeds.get("seeds")},
            params=model | {"shard": number},
        )
        for number in range(config.shards)
    ]
    tasks = {"tasks_digest": checked.get("tasks_digest")}
    filtered = flow.add("dedup_filter", inputs=_candidates(shards, seeds), params=tasks)
    shared = {"seeds": seeds.get("seeds"), "instructions": filtered.get("kept")}
    report: dict[str, Any] = {
        "manifest": checked.get("manifest"),
        **shared,
        "duplicates": filtered.get("rejected"),
    }
    for number, shard in enumerate(shards, start=1):
        for name in ("rejected", "rounds"):
            report[name if number == 1 else f"{name}_{number}"] = shard.get(name)
    scored: dict[str, Any] = {}
    for arm in sorted(config.arms, key=lambda arm: arm != "baseline"):
        # the baseline first: it sets the zero and the unit of the other arms' rewards
        scored[arm], pages = _instances(
            flow, arm, config, shared, model, tasks, scored.get("baseline")
        )
        report |= pages
    for arm in config.arms:
        report |= _tuned_and_judged(flow, arm, scored, shared["seeds"], model, tasks)
    report |= _sizes(flow, config, scored, shared["seeds"], model, tasks)
    start = flow.add("evaluate", "start", params=model | tasks)
    report["predictions_start"] = start.get("predictions")
    report["judging_start"] = start.get("provenance")
    flow.add("report", inputs=report, params=_points(config))


def _to_check(config: RunConfig) -> dict[str, Any]:
    """Return what ``check_inputs`` must know of the later stages' parameters."""
    wanted: dict[str, Any] = {"arms": ",".join(config.arms)}
    checked = [
        ("field_map", "seed_ingest"),
        ("instances", "evaluate"),
        ("gpt2_tokenizer", "evaluate"),
    ]
    checked += [(name, "score_rewards") for name in REWARD_NAMES]
    for name, stage in checked:
        if name in config.stages.get(stage, {}):
            wanted[name] = config.stages[stage][name]
    return wanted


def _candidates(shards: list[Outputs], seeds: Outputs) -> dict[str, Any]:
    inputs = {"candidates": shards[0].get("instructions"), "pool": seeds.get("seeds")}
    for number, shard in enumerate(shards[1:], start=2):
        inputs[f"candidates_{number}"] = shard.get("instructions")
    return inputs


def _instances(
    flow: Flow,
    arm: str,
    config: RunConfig,
    shared: Outputs,
    model: dict[str, Any],
    tasks: dict[str, Any],
    reference: Any,  # noqa: ANN401  a KFP channel or None
) -> tuple[Any, dict[str, Any]]:
    """Write and score an arm's instances; return them and what the report reads."""
    pages: dict[str, Any] = {}
    adapter = None
    if arm == "rl":
        given = {"instructions": shared["instructions"]}
        trained = flow.add("train_ppo", inputs=given, params=model | config.instance_form())
        adapter = trained.get("adapter")
        pages = {f"ppo_{name}": trained.get(name) for name in ("curves", "episodes", "alarms")}
        pages["ppo_provenance"] = trained.get("provenance")
    best = arm == "best_of_n"
    own = config.instance_form() | (_several(config) if best else {}) | _repetition(arm)
    written = flow.add(
        "generate_instances",
        arm,
        inputs={"instructions": shared["instructions"], "adapter": adapter},
        params=model | tasks | own,
    )
    scored = flow.add(
        "score_rewards",
        arm,
        inputs={"instances": written.get("instances"), "reference": reference},
        params=model | ({"select": "best_per_instruction"} if best else {}),
    )
    pages |= {
        f"instances_{arm}": scored.get("scored"),
        f"rejected_{arm}": written.get("rejected"),
        f"unselected_{arm}": scored.get("rejected"),
        f"writing_{arm}": written.get("provenance"),
    }
    return scored.get("scored"), _read_by_the_report(pages)


def _several(config: RunConfig) -> dict[str, Any]:
    """Return how ``best_of_n`` writes: greedy samples would all be the same, so these are not."""
    warm = config.stages.get("generate_instances", {}).get("temperature")
    return {"samples": config.best_of_n} | ({} if warm else {"temperature": 1.0})


def _repetition(arm: str) -> dict[str, Any]:
    return {"replicate": 1} if arm == "baseline_b" else {}


def _read_by_the_report(pages: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the report does not show of an arm, such as the samples of ``baseline_b``."""
    known = {item.name for item in find_stage("report").inputs}
    return {name: page for name, page in pages.items() if name in known}


def _sizes(
    flow: Flow,
    config: RunConfig,
    scored: dict[str, Any],
    seeds: Any,  # noqa: ANN401  a KFP channel
    model: dict[str, Any],
    tasks: dict[str, Any],
) -> dict[str, Any]:
    """Fine-tune and evaluate on nested subsets; return the report's inputs, in order."""
    inputs: dict[str, Any] = {}
    for number, (arm, rows) in enumerate(size_points(config), start=1):
        tuned = _tuned(flow, arm, scored, seeds, model, rows)
        label, given = f"{arm} {rows}", {"adapter": tuned.get("adapter")}
        judged = flow.add("evaluate", label, inputs=given, params=model | tasks)
        inputs[f"predictions_size_{number}"] = judged.get("predictions")
    return inputs


def size_points(config: RunConfig) -> list[tuple[str, int]]:
    """Return (arm, rows) of each extra training, smallest first."""
    sized = [arm for arm in config.arms if arm in ("rl", "baseline")]
    return [(arm, rows) for rows in config.sizes for arm in sized]


def _points(config: RunConfig) -> dict[str, Any]:
    points = size_points(config)
    return {"sizes": ",".join(f"{arm}:{rows}" for arm, rows in points)} if points else {}


def _tuned(
    flow: Flow,
    arm: str,
    scored: dict[str, Any],
    seeds: Any,  # noqa: ANN401  a KFP channel
    model: dict[str, Any],
    rows: int = 0,
) -> Outputs:
    """Fine-tune on the instructions that every arm answered, the first ``rows`` where given."""
    others = [predictions for name, predictions in scored.items() if name != arm]
    inputs = {"instances": scored[arm], "seeds": seeds}
    return flow.add(
        "train_sft",
        f"{arm} {rows}" if rows else arm,
        inputs=inputs | dict(zip(MATCHES, others, strict=False)),
        params=model | _repetition(arm) | ({"rows": rows} if rows else {}),
    )


def _tuned_and_judged(
    flow: Flow,
    arm: str,
    scored: dict[str, Any],
    seeds: Any,  # noqa: ANN401  a KFP channel
    model: dict[str, Any],
    tasks: dict[str, Any],
) -> dict[str, Any]:
    """Fine-tune, evaluate; return report inputs."""
    tuned = _tuned(flow, arm, scored, seeds, model)
    judged = flow.add(
        "evaluate", arm, inputs={"adapter": tuned.get("adapter")}, params=model | tasks
    )
    pages = {
        f"used_{arm}": tuned.get("used"),
        f"history_{arm}": tuned.get("history"),
        f"tuning_{arm}": tuned.get("provenance"),
        f"predictions_{arm}": judged.get("predictions"),
        f"judging_{arm}": judged.get("provenance"),
    }
    return _read_by_the_report(pages)
