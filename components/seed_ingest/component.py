"""KFP component ``seed_ingest``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-seed_ingest:0.1.0", install_kfp_package=False)
def seed_ingest(
    seeds: dsl.Output[dsl.Dataset],
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
    seeds_uri: str = "builtin:seeds",
    seeds_digest: str = "",
    field_map: str = "",
    classification: str = "rule",
    licence: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Read seed tasks from anywhere and check every one.

    Source: Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.

    Args:
        seeds: Checked seed tasks with content-derived ids.
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
        seeds_uri: builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV,
            Parquet or plain lines, also .gz), or hf://data-set.
        seeds_digest: Expected sha256 of the file; empty accepts any.
        field_map: Our fields by those of the file, such as instruction=question,output=answer;
            empty: known schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages,
            prompt and completion, plain lines).
        classification: What tasks are that do not say whether they are classification: rule
            (short answers, and words such as classify or sentiment), yes, no, or ask: as the
            model says.
        licence: Licence of seeds that name none; builtin:seeds are Apache-2.0.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("seed_ingest", locals())
