"""KFP component ``generate_instructions``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-generate_instructions:0.1.0", install_kfp_package=False)
def generate_instructions(
    seeds: dsl.Input[dsl.Dataset],
    instructions: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    rounds: dsl.Output[dsl.Dataset],
    calls: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
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
    target: int = 15000,
    shard: int = 0,
    round_size: int = 64,
    max_requests: int = 20000,
    max_empty_rounds: int = 5,
    in_context: int = 8,
    machine_in_context: int = 2,
    sampling: str = "small_lm",
    temperature: float = 0.0,
    top_p: float = 0.0,
    max_tokens: int = 1024,
    max_rouge_l: float = 0.7,
    tokens: str = "rouge",
    known_uri: str = "",
    parity: bool = False,
    alpaca_keywords: bool = False,
    drop_statements: bool = False,
    task_rating: str = "none",
    min_rating: float = 0.0,
    best_share: float = 1.0,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Bootstrap new instructions from seeds with a language model (Self-Instruct).

    Source: Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.

    Args:
        seeds: Seed tasks.
        instructions: New instructions in the order they were accepted.
        rejected: Dropped pieces with reason and neighbour.
        rounds: The acceptance curve: counts per round.
        calls: Every model call: prompt's digest, seed, answer as it came.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
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
        target: Instructions to reach. The round that reaches it counts whole, so there may be
            more: up to 8 for each prompt of round_size.
        shard: Number of this shard; each has a random stream of its own.
        round_size: Prompts drawn from one frozen pool; the published loop has 5, more keep a GPU
            busy.
        max_requests: Most requests before it ends.
        max_empty_rounds: Ends after so many rounds without a new instruction.
        in_context: Instructions shown.
        machine_in_context: Of them written by the model, where there are any.
        sampling: self_instruct (published values) or small_lm.
        temperature: Instead of the sampling's own; 0 keeps that.
        top_p: Likewise, nucleus mass.
        max_tokens: Most new tokens of a request.
        max_rouge_l: Drop an instruction whose ROUGE-L F1 with an earlier one is strictly above
            this.
        tokens: rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.
        known_uri: Texts that no new instruction may repeat: builtin:training-instructions (what
            builtin:tiny was trained on), or JSON Lines with a column `instruction`.
        parity: Decide as the published code where small models need better: str.capitalize, and a
            cut completion dropped whole.
        alpaca_keywords: Also drop Alpaca's five further keywords.
        drop_statements: Also drop a text that is one English statement, which small models write
            between tasks.
        task_rating: pmi: rate each instruction by how much likelier the model finds it behind
            seed tasks than alone, and drop by min_rating and best_share before it joins the pool.
        min_rating: With task_rating: least rating, nats per token.
        best_share: With task_rating, best-of-n: share of a round's instructions that stay, the
            best rated.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("generate_instructions", locals())
