"""KFP component ``evolve_instructions``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-evolve_instructions:0.1.0", install_kfp_package=False)
def evolve_instructions(
    seeds: dsl.Input[dsl.Dataset],
    instructions: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    trace: dsl.Output[dsl.Dataset],
    calls: dsl.Output[dsl.Dataset],
    ledger: dsl.Output[dsl.Artifact],
    bank_out: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    operator_policy: dsl.Input[dsl.Artifact] = None,
    bank: dsl.Input[dsl.Dataset] = None,
    before: dsl.Input[dsl.Artifact] = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: str = "auto",
    engine: str = "transformers",
    dtype: str = "auto",
    engine_batch: int = 32,
    max_model_len: int = 0,
    gpu_memory_utilization: float = 0.9,
    tensor_parallel_size: int = 1,
    quantization: str = "",
    max_lora_rank: int = 64,
    base_url: str = "",
    api_key_variable: str = "OPENAI_API_KEY",
    endpoint_dialect: str = "auto",
    endpoint_seconds: float = 900.0,
    price_per_million_read: float = 0.0,
    price_per_million_written: float = 0.0,
    max_failed: float = 0.01,
    operators_uri: str = "builtin:operators",
    style: str = "instruct",
    steps: int = 6,
    temperature: float = 0.8,
    top_p: float = 0.95,
    max_tokens: int = 512,
    reviewer: str = "",
    reviewer_engine: str = "",
    reviewer_price_per_million_read: float = 0.0,
    reviewer_price_per_million_written: float = 0.0,
    accept: float = 0.6,
    patience: int = 2,
    min_words: int = 3,
    max_words: int = 512,
    weight_changed: float = 0.5,
    weight_novelty: float = 0.5,
    weight_invalid: float = 0.5,
    weight_frontier: float = 0.0,
    frontier_samples: int = 4,
    embedding: str = "builtin:static",
    clusters: int = 4,
    seeds_limit: int = 0,
    policy: str = "learned",
    mix: str = "",
    exploration: float = 0.03,
    passes: int = 1,
    max_calls: int = 0,
    keep_seeds: bool = False,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Evolve seeds by textual operations; drop what fails, keep lineage and reasons.

    Source: TeaMs-RL (arXiv 2403.08694); Evol-Instruct (WizardLM, 2304.12244), section 3.2.

    Args:
        seeds: Seed tasks to start from.
        instructions: Kept instructions with root, parent and operator.
        rejected: Dropped rewrites with the rule.
        trace: Every operation tried, kept or not.
        calls: Every model call: prompt's digest, seed, answer as it came.
        ledger: Calls and tokens per role and phase.
        bank_out: The memory bank with what was written.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        operator_policy: Policy of train_operator_policy. Optional.
        bank: Instructions of earlier runs that count as known (field instruction). Optional.
        before: Records of the task before this one. Optional.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://; for the engine
            openai the endpoint's name of it, for scripted a file of answers.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the
            engines transformers and vllm; for others auto is no).
        engine: Text engine.
        dtype: Weights' precision.
        engine_batch: Prompts per batch (transformers) or in flight (openai, vllm).
        max_model_len: Longest prompt and answer, tokens (vllm); 0: the model's.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        tensor_parallel_size: GPUs per model (vllm).
        quantization: Quantisation that vLLM applies, such as fp8 or awq.
        max_lora_rank: Largest adapter rank (vllm).
        base_url: Address of an OpenAI-compatible endpoint (openai).
        api_key_variable: Environment variable that holds the endpoint's key.
        endpoint_dialect: Fields that the endpoint takes (openai): the standard ones, or vLLM's;
            auto asks its list of models. A field that is refused is left out from then on.
        endpoint_seconds: Most seconds for one request to an endpoint (openai), all tries
            together.
        price_per_million_read: What the endpoint asks for a million tokens that it reads
            (openai); plan, progress and timing then show money. 0: not known.
        price_per_million_written: Likewise for a million tokens that it writes.
        max_failed: Largest share of requests that the engine may leave unanswered; above it the
            stage ends and keeps what was answered.
        operators_uri: Operators and their prompts: builtin:operators, a YAML file or a URI.
        style: plain: as builtin:tiny was trained; instruct: a request in words; few_shot: worked
            rewrites before it, for base models and small ones.
        steps: Most operators tried on one seed.
        temperature: Of the rewriter.
        top_p: Nucleus mass.
        max_tokens: Most new tokens of a rewrite.
        reviewer: Model that compares rewrite and parent; empty: the rewriter's.
        reviewer_engine: Engine of the reviewer; empty: the rewriter's.
        reviewer_price_per_million_read: What the endpoint asks for a million tokens that a
            reviewer of its own reads; 0: not known.
        reviewer_price_per_million_written: Likewise for a million tokens that it writes.
        accept: Least probability of a difference, both orders averaged; 0 with weight_changed=0
            asks no reviewer.
        patience: Invalid rewrites in a row that end an episode.
        min_words: Fewest words of an instruction.
        max_words: Most words of an instruction.
        weight_changed: Reward of a rewrite that differs.
        weight_novelty: Reward times 1 - largest cosine to siblings and the memory bank.
        weight_invalid: Taken for a rewrite that breaks a rule.
        weight_frontier: Reward times 4 s (1 - s), s the agreement of sampled answers; 0 samples
            none.
        frontier_samples: Answers sampled for that.
        embedding: Of instructions, for policy, novelty and clusters: builtin:static needs no
            model; else any sentence-transformers model (Hub id, path, gs:// or s3://).
        clusters: Groups of like seeds that are told apart in tables.
        seeds_limit: First N seeds; 0 takes all.
        policy: learned, uniform, fixed_mix, released_mix, llm, or no_evolution (the seeds alone).
        mix: Shares of fixed_mix: name=weight, name=weight.
        exploration: Share of uniform draws in a learned policy.
        passes: Times that every seed is evolved anew.
        max_calls: Most calls of rewriter and reviewer together; 0 sets no limit.
        keep_seeds: Hand on the seeds too.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("evolve_instructions", locals())
