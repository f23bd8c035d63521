"""The registry: every stage of the pipelines, in the order of the DAG."""

from refine_af.contracts.stage import Stage
from refine_af.stages import (
    audit_privacy,
    check_inputs,
    dedup_filter,
    embed_texts,
    evaluate,
    evolve_instructions,
    generate_instances,
    generate_instructions,
    generate_responses,
    notify,
    register_model,
    report,
    score_rewards,
    seed_ingest,
    train_operator_policy,
    train_ppo,
    train_sft,
)

STAGES: tuple[Stage, ...] = (
    check_inputs.STAGE,
    seed_ingest.STAGE,
    generate_instructions.STAGE,
    train_operator_policy.STAGE,
    evolve_instructions.STAGE,
    embed_texts.STAGE,
    dedup_filter.STAGE,
    train_ppo.STAGE,
    generate_instances.STAGE,
    generate_responses.STAGE,
    score_rewards.STAGE,
    train_sft.STAGE,
    evaluate.STAGE,
    audit_privacy.STAGE,
    report.STAGE,
    register_model.STAGE,
    notify.STAGE,
)
"""In an order that fits every pipeline: no stage reads what a later one writes."""
