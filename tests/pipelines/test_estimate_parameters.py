"""The estimate follows every parameter that changes memory or hours, by the registry."""

import pytest

from refine_af.contracts.stage import Stage
from refine_af.pipelines.config import RunConfig, load_config
from refine_af.pipelines.devices import GPUS
from refine_af.pipelines.estimate import Estimate, device_of, estimates
from refine_af.pipelines.tasks import planned
from refine_af.runner import find_stage
from refine_af.targets.profile import load_profile

STAGES = {
    "refine-af": (
        "generate_instructions", "train_ppo", "generate_instances", "score_rewards", "train_sft",
        "evaluate",
    ),
    "teams-rl": (
        "train_operator_policy", "evolve_instructions", "generate_responses", "audit_privacy",
    ),
}  # fmt: skip
"""Every stage with a model that a pipeline runs, each with the pipeline that it is tried in."""

SMALL, LARGE = "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen2.5-1.5B"
ENGINE = {
    "model": (SMALL, LARGE),
    "engine": ("openai base_url=http://x/v1", "vllm"),
    "dtype": ("float16", "float32"),
    "engine_batch": ("8 engine=transformers", "64 engine=transformers"),
    "max_model_len": ("2048", "8192"),
    "gpu_memory_utilization": ("0.1", "0.9"),
    "tensor_parallel_size": ("1", "2"),
    "quantization": ("awq", "fp8"),
}
"""Of each stage that writes text: two values that differ in memory or hours, perhaps with what
must be set beside them."""

REWARD = {
    "reward": ("reward_model", "balanced"),
    "reward_drop": ("reward", "naturalness"),
    "reward_extra": ("", "language_model"),
    "reward_model": (LARGE, SMALL),
    "unieval": (LARGE, SMALL),
    "language_model": (f"{LARGE} reward=pmi", f"{SMALL} reward=pmi"),
    "judge": (
        f"{LARGE} reward=judge judge_engine=vllm",
        f"{SMALL} reward=judge judge_engine=vllm",
    ),
    "judge_engine": (
        f"openai reward=judge judge={LARGE} judge_url=http://x/v1",
        f"vllm reward=judge judge={LARGE}",
    ),
    "scorer_device": ("cpu", "cuda"),
}

EVOLUTION = ENGINE | {
    "style": ("instruct", "few_shot"),
    "steps": ("2", "6"),
    "max_tokens": ("64", "512"),
    "reviewer": (f"{SMALL} reviewer_engine=vllm", f"{LARGE} reviewer_engine=vllm"),
    "reviewer_engine": (
        f"openai reviewer={LARGE} base_url=http://x/v1",
        f"vllm reviewer={LARGE}",
    ),
    "accept": ("0 weight_changed=0", "0.6 weight_changed=0"),
    "weight_changed": ("0 accept=0", "0.5 accept=0"),
    "weight_frontier": ("0", "0.5"),
    "frontier_samples": ("2 weight_frontier=0.5", "8 weight_frontier=0.5"),
}

MOVES = {
    "generate_instructions": ENGINE
    | {
        "max_requests": ("100", "20000"),
        "round_size": ("5", "64"),
        "max_tokens": ("64", "1024"),
    },
    "train_ppo": REWARD
    | {
        "model": (SMALL, LARGE),
        "processes": ("1", "2"),
        "nodes": ("1 work_dir=s3://b/x", "2 work_dir=s3://b/x"),
        "algorithm": ("ppo episodes_per_prompt=2", "rloo episodes_per_prompt=2"),
        "updates": ("10", "200"),
        "episodes_per_update": ("16", "64"),
        "minibatch": ("2 rollout_batch=1", "8 rollout_batch=1"),
        "microbatch": ("8 rollout_batch=1", "2 rollout_batch=1"),
        "epochs": ("1", "4"),
        "max_new_tokens": ("32", "256"),
        "lora_rank": ("4", "0"),
        "trained_weights": (".*norm.* lora_rank=0", " lora_rank=0"),
        "quantization": ("nf4", "none"),
        "rollout": ("transformers", "vllm"),
        "rollout_memory": ("0.2 rollout=vllm", "0.5 rollout=vllm"),
        "rollout_batch": ("4", "64"),
        "sharded": ("true processes=2", "false processes=2"),
        "style": ("plain", "few_shot"),
    },
    "generate_instances": ENGINE
    | {
        "engine": ("transformers", "vllm"),  # an endpoint applies no adapter
        "style": ("plain", "few_shot"),
        "split": ("classification", "none"),
        "samples": ("1", "4 temperature=1"),
        "max_tokens": ("64", "350"),
        "limit": ("10", "0"),
    },
    "score_rewards": REWARD,
    "train_sft": {
        "model": (SMALL, LARGE),
        "processes": ("1", "2"),
        "nodes": ("1 work_dir=s3://b/x", "2 work_dir=s3://b/x"),
        "method": ("qlora", "full"),
        "rows": ("100", "0"),
        "epochs": ("1", "3"),
        "max_steps": ("5", "50"),
        "batch_size": ("4", "16"),
        "gradient_accumulation": ("64", "8"),
        "lora_rank": ("4", "64"),
        "lora_dropout": ("0", "0.05"),
        "max_length": ("256", "2048"),
        "device": ("cpu", "cuda"),
        "dtype": ("bfloat16", "float32"),
        "gradient_checkpointing": ("true", "false"),
    },
    "evaluate": ENGINE
    | {
        "engine": ("transformers", "vllm"),
        "instances": ("1", "100"),
        "max_tokens": ("8", "128"),
    },
    "train_operator_policy": EVOLUTION
    | {
        "table_seeds": ("0", "256"),
        "held_out": ("0", "64"),
        "policy_seeds": ("1", "3"),
        "evaluate_every": ("0", "1"),
        "updates": ("2", "20"),
        "episodes": ("4", "32"),
    },
    "evolve_instructions": EVOLUTION
    | {
        "seeds_limit": ("10", "0"),
        "passes": ("1", "3"),
        "max_calls": ("10", "0"),
    },
    "generate_responses": ENGINE
    | {
        "style": ("plain", "instruct"),
        "samples": ("1", "3"),
        "max_tokens": ("64", "1024"),
        "limit": ("10", "0"),
    },
    "audit_privacy": {"model": (SMALL, LARGE)},
}

STILL = {
    "which draws, or which model by digest": "model_digest seed replicate shard tasks_digest",
    "an adapter's slots count with max_lora_rank for tasks that apply one": "max_lora_rank",
    "where and how an endpoint is asked": (
        "base_url api_key_variable endpoint_dialect endpoint_seconds price_per_million_read"
        " price_per_million_written judge_url judge_price_per_million_read"
        " judge_price_per_million_written reviewer_price_per_million_read"
        " reviewer_price_per_million_written rollout_url max_failed wandb"
    ),
    "prompts are taken at their longest": "chat in_context machine_in_context prompt",
    "rows are taken at their mean length": "template include_seed_tasks packing padding_free",
    "what is drawn, not how much": "sampling temperature top_p presence_penalty stop parity",
    "rules on the processor": (
        "max_empty_rounds max_rouge_l tokens known_uri alpaca_keywords drop_statements min_rating"
        " best_share tasks_uri max_instances held_out_share gpt2_tokenizer select threshold top_k"
        " resamples operators_uri patience min_words max_words weight_novelty weight_invalid"
        " clusters policy mix exploration keep_seeds min_entropy max_kl hidden text allow_stop"
    ),
    "two readings of some 60 tokens an instruction": "task_rating",
    "the target bounds nothing below max_requests; it decides the rows of later tasks": "target",
    "a sentence encoder of some MiB": "embedding",
    "an upper bound: all linear layers": "lora_targets",
    "an arithmetic step of the loss": (
        "episodes_per_prompt learning_rate value_learning_rate clip value_clip value_coefficient"
        " entropy_coefficient kl_coefficient kl_target kl_rate gamma lam max_grad_norm"
        " warmup_updates truncation_penalty lora_alpha whiten detach_value importance_cap"
        " schedule warmup_ratio"
    ),
    "a GPU holds its weights in bfloat16 in any case": "precision",
    "reward's arithmetic": (
        "reward_clip reward_normalise reward_reference_rows reward_margin guards guard_min_words"
        " guard_max_words guard_repetition guard_copied guard_script guard_script_share"
        " guard_penalty held_out"
    ),
    "a file now and then": "checkpoint_every checkpoint_steps merge",
    "one question a prompt, bounded by updates times episodes": "prompts",
    "tasks that nobody has counted": "lm_eval",
    "rows that leave training for a task of their own": "reference_share",
}
"""Parameters that neither memory nor hours of their own task follow, by the reason."""

STILL_IN = {
    # the operators' policy has some thousand weights; table_seeds and held_out bound its seeds
    "train_operator_policy": {"epochs", "minibatch", "seeds_limit"},
    "train_ppo": {"split"},  # one question a prompt, before the first update
}
"""Of single stages."""

PAIRS = [(stage, name) for stage, names in MOVES.items() for name in names]


def of_stage(stage: str) -> RunConfig:
    """Return a run of a 1.7 B model through vLLM in which the stage runs."""
    preset = "smollm2-1.7b" if stage in STAGES["refine-af"] else "teams-rl"
    return load_config(preset, "").with_values(("model=HuggingFaceTB/SmolLM2-1.7B",))


def largest(stage: str, name: str, value: str) -> Estimate | None:
    first, *others = value.split(" ")
    values = [f"{name}={first}", *others]
    config = of_stage(stage)
    if "work_dir" in value:
        values, config = values[:-1], config.with_values((others[-1],))
    config = config.with_values(tuple(f"{stage}.{text}" for text in values))
    found = [one for one in estimates(config, GPUS["h100"], 1) if one.task.split(" ")[0] == stage]
    return max(found, key=lambda one: one.memory_gib, default=None)


def numbers(one: Estimate | None) -> tuple[float, float | None]:
    return (one.memory_gib, one.hours) if one else (0.0, 0.0)


@pytest.mark.parametrize(("stage", "name"), PAIRS)
def test_the_estimate_moves_with(stage: str, name: str) -> None:
    few, many = (largest(stage, name, value) for value in MOVES[stage][name])
    assert numbers(few) != numbers(many)


def parameters(stage: Stage) -> set[str]:
    return set(stage.params.model_fields)


@pytest.mark.parametrize("name", [name for names in STAGES.values() for name in names])
def test_every_parameter_moves_it_or_has_a_reason_not_to(name: str) -> None:
    still = {word for words in STILL.values() for word in words.split()}
    still |= STILL_IN.get(name, set())
    moved = set(MOVES[name])
    assert parameters(find_stage(name)) - moved - still == set()
    assert moved <= parameters(find_stage(name))


def test_every_stage_with_a_model_is_tried() -> None:
    tried = {name for names in STAGES.values() for name in names}
    running = {
        task.stage.name
        for preset in ("smollm2-1.7b", "teams-rl")
        for task in planned(load_config(preset, ""))
        if task.stage.resources.gpu
    }
    assert running == tried == set(MOVES)


def test_without_a_gpu_the_precision_of_products_counts() -> None:
    stage = find_stage("train_ppo")
    device = device_of(load_profile("cpu"), stage)
    assert device is not None
    sizes = []
    for precision in ("bfloat16", "float32"):
        config = of_stage("train_ppo").with_values((f"train_ppo.precision={precision}",))
        config = config.with_values(("train_ppo.rollout_batch=1",))
        sizes += [one.memory_gib for one in estimates(config, device) if one.task == "train_ppo"]
    assert sizes[0] < sizes[1]
