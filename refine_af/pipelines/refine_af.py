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
from refine_af.pipelines.registering import add_registration
from refine_af.pipelines.tasks import Flow, Outputs
from refine_af.stages.report import PARTS
from refine_af.stages.train_sft import MATCHES

DESCRIPTION = (
    "Instruction data and a fine-tuned model from automated feedback; the arms {arms} and the start"
    " model, compared per task."
)


def tasks(flow: Flow, config: RunConfig) -> None:
    """Add the tasks of the arms and sizes that the configuration asks for."""
    checked = flow.add("check_inputs", params=_to_check(config))
    model = {"model_digest": checked["model_digest"]}
    tasks = {"tasks_digest": checked["tasks_digest"]}
    shared, recorded = _shared(flow, config, checked)
    scored: dict[str, Outputs] = {}
    for arm in sorted(config.arms, key=lambda arm: arm != "baseline"):
        # the baseline first: it sets the zero and the unit of the other arms' rewards
        scored[arm] = _instances(flow, arm, config, shared, model, tasks, scored.get("baseline"))
    tuned: dict[str, Outputs] = {}
    evaluated: dict[str, Outputs] = {}
    for arm in config.arms:
        tuned[arm] = _tuned(flow, arm, scored, shared["seeds"], model)
        evaluated[arm] = _evaluated(flow, arm, tuned[arm], model | tasks)
    recorded += evaluated.values()
    for sized, rows in size_points(config):
        small = _tuned(flow, sized, scored, shared["seeds"], model, rows)
        recorded.append(_evaluated(flow, f"{sized} {rows}", small, model | tasks))
    start = flow.add("evaluate", "start", params=model | tasks)
    parts = zip(PARTS, (*recorded, start), strict=False)
    reported = flow.add("report", inputs={name: part["records"] for name, part in parts})
    add_registration(flow, config, tuned, evaluated, reported)


def _shared(
    flow: Flow, config: RunConfig, checked: Outputs
) -> tuple[dict[str, Any], list[Outputs]]:
    """Add what all arms share; return seeds and instructions, and the tasks that end its parts."""
    model = {"model_digest": checked["model_digest"]}
    seeds = add_seeds(flow, config, checked)
    shards = [
        flow.add(
            "generate_instructions",
            f"shard {number}" if config.shards > 1 else "",
            inputs={"seeds": seeds["seeds"]},
            params=model | {"shard": number},
            before=None if number else seeds,
        )
        for number in range(config.shards)
    ]
    filtered = flow.add(
        "dedup_filter",
        inputs=_candidates(shards, seeds),
        params={"tasks_digest": checked["tasks_digest"]},
        before=shards[0],
    )
    return {"seeds": seeds["seeds"], "instructions": filtered["kept"]}, [filtered, *shards[1:]]


def add_seeds(flow: Flow, config: RunConfig, checked: Outputs) -> Outputs:
    """Add the task that reads the seeds; it gets the model's digest where it asks the model."""
    digests = {"seeds_digest": checked["seeds_digest"]}
    if config.stages.get("seed_ingest", {}).get("classification") == "ask":
        digests["model_digest"] = checked["model_digest"]
    return flow.add("seed_ingest", params=digests, before=checked)


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
    inputs = {"candidates": shards[0]["instructions"], "pool": seeds["seeds"]}
    for number, shard in enumerate(shards[1:], start=2):
        inputs[f"candidates_{number}"] = shard["instructions"]
    return inputs


def _instances(
    flow: Flow,
    arm: str,
    config: RunConfig,
    shared: Outputs,
    model: dict[str, Any],
    tasks: dict[str, Any],
    reference: Outputs | None,
) -> Outputs:
    """Write and score an arm's instances."""
    given = {"instructions": shared["instructions"]}
    trained = None
    if arm == "rl":
        form = config.instance_form()
        trained = flow.add("train_ppo", inputs=given, params=model | form)
        given |= {"adapter": trained["adapter"]}
    best = arm == "best_of_n"
    own = config.instance_form() | (_several(config) if best else {}) | _repetition(arm)
    written = flow.add(
        "generate_instances",
        arm,
        inputs=given,
        params=model | tasks | own,
        before=trained,
    )
    return flow.add(
        "score_rewards",
        arm,
        inputs={
            "instances": written["instances"],
            "reference": reference and reference["scored"],
        },
        params=model | ({"select": "best_per_instruction"} if best else {}),
        before=written,
    )


def _several(config: RunConfig) -> dict[str, Any]:
    """Return how ``best_of_n`` writes: greedy samples would all be the same, so these are not."""
    warm = config.stages.get("generate_instances", {}).get("temperature")
    return {"samples": config.best_of_n} | ({} if warm else {"temperature": 1.0})


def _repetition(arm: str) -> dict[str, Any]:
    return {"replicate": 1} if arm == "baseline_b" else {}


def size_points(config: RunConfig) -> list[tuple[str, int]]:
    """Return (arm, rows) of each extra training, smallest first."""
    sized = [arm for arm in config.arms if arm in ("rl", "baseline")]
    return [(arm, rows) for rows in config.sizes for arm in sized]


def _tuned(
    flow: Flow,
    arm: str,
    scored: dict[str, Outputs],
    seeds: Any,  # noqa: ANN401  an output
    model: dict[str, Any],
    rows: int = 0,
) -> Outputs:
    """Fine-tune on the instructions that every arm answered, the first ``rows`` where given."""
    others = [outputs["scored"] for name, outputs in scored.items() if name != arm]
    inputs = {"instances": scored[arm]["scored"], "seeds": seeds}
    return flow.add(
        "train_sft",
        f"{arm} {rows}" if rows else arm,
        inputs=inputs | dict(zip(MATCHES, others, strict=False)),
        params=model | _repetition(arm) | ({"rows": rows} if rows else {}),
        before=None if rows else scored[arm],
    )


def _evaluated(flow: Flow, label: str, tuned: Outputs, params: dict[str, Any]) -> Outputs:
    inputs = {"adapter": tuned["adapter"]}
    return flow.add("evaluate", label, inputs=inputs, params=params, before=tuned)
