"""KFP component ``train_operator_policy``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-train_operator_policy:0.1.0", install_kfp_package=False)
def train_operator_policy(
    seeds: dsl.Input[dsl.Dataset],
    policy: dsl.Output[dsl.Artifact],
    trace: dsl.Output[dsl.Dataset],
    curve: dsl.Output[dsl.Dataset],
    table: dsl.Output[dsl.Artifact],
    ledger: dsl.Output[dsl.Artifact],
    bank_out: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    bank: dsl.Input[dsl.Dataset] = None,
    rollouts: dsl.Input[dsl.Dataset] = None,
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
    table_seeds: int = 256,
    held_out: int = 64,
    policy_seeds: int = 3,
    evaluate_every: int = 5,
    updates: int = 20,
    episodes: int = 32,
    epochs: int = 6,
    minibatch: int = 48,
    learning_rate: float = 0.01,
    clip: float = 0.2,
    gamma: float = 0.0,
    lam: float = 0.95,
    value_coefficient: float = 0.5,
    entropy_coefficient: float = 0.005,
    min_entropy: float = 0.8,
    max_kl: float = 1.0,
    max_grad_norm: float = 1.0,
    hidden: int = 64,
    text: bool = True,
    allow_stop: bool = False,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Learn by PPO which textual operation to apply to an instruction next.

    Source: TeaMs-RL (arXiv 2403.08694). Its code sees the last operator alone, by TRPO; this
    policy reads the text, by PPO, and counts every call.

    Args:
        seeds: Seed tasks to practise on.
        policy: Weights as safetensors, and what they belong to.
        trace: Every operation tried: what was seen, chosen and earned.
        curve: Numbers per update and per test on held-out seeds.
        table: Seeds by operators after one step, and whether learning pays.
        ledger: Calls and tokens per role and phase.
        bank_out: The memory bank with what training wrote.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        bank: Instructions of earlier runs that count as known (field instruction). Optional.
        rollouts: Steps of an earlier run with the same parameters: repeats its updates, no model
            runs. Optional.
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
        table_seeds: Seeds of the one-step table, each with every operator; 0: no table.
        held_out: Seeds that only test policies; at most a third of all.
        policy_seeds: Policies trained independently; the best one is kept.
        evaluate_every: Updates between tests on held-out seeds; 0: none.
        updates: Rollouts of one policy, each with its optimisation.
        episodes: Episodes of one rollout.
        epochs: Passes over the steps of a rollout.
        minibatch: Steps of one optimiser step.
        learning_rate: Of Adam.
        clip: Epsilon of the policy objective.
        gamma: Discount; 0: only the operator's own reward counts.
        lam: Lambda of GAE.
        value_coefficient: Weight of the value loss.
        entropy_coefficient: Weight of the entropy, nats.
        min_entropy: Floor of the mean entropy, nats: an update ends before it falls below.
        max_kl: Passes of an update end beyond it, nats per step.
        max_grad_norm: Largest gradient norm of a step.
        hidden: Width of the two hidden layers.
        text: Whether the policy sees the instruction.
        allow_stop: Whether ending an episode is a choice of the policy.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("train_operator_policy", locals())
