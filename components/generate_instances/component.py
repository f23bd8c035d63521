"""KFP component ``generate_instances``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-generate_instances:0.1.0", install_kfp_package=False)
def generate_instances(
    instructions: dsl.Input[dsl.Dataset],
    instances: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    calls: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    adapter: dsl.Input[dsl.Model] = None,
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
    style: str = "auto",
    split: str = "classification",
    samples: int = 1,
    max_instances: int = 5,
    temperature: float = 0.0,
    top_p: float = 1.0,
    presence_penalty: float = 0.0,
    max_tokens: int = 350,
    replicate: int = 0,
    parity: bool = False,
    limit: int = 0,
    tasks_uri: str = "",
    tasks_digest: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Write input-output pairs for instructions, with the start model or an adapter.

    Source: Self-Instruct (arXiv 2212.10560), section 3.1 and appendix; REFINE-AF, stage 3.

    Args:
        instructions: Instructions to write instances for.
        instances: Instruction-input-output rows.
        rejected: What could not be used, with the reason.
        calls: Every model call: prompt's digest, seed, answer as it came.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        adapter: What train_ppo wrote; else the start model. Optional.
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
        style: few_shot: worked tasks of our own, for base models; chat: a request in words, for
            chat models; plain: the instruction alone; auto: plain for a builtin: model, chat
            where the chat template is used, else few_shot.
        split: classification: ask first, then write outputs first for such tasks; none: inputs
            first.
        samples: Completions per instruction.
        max_instances: Most instances per completion.
        temperature: 0 is greedy.
        top_p: Nucleus mass.
        presence_penalty: Against repetition; the published 1.5 suits few models.
        max_tokens: Most new tokens.
        replicate: Number of the repetition: other draws, all else equal (the A/A arm has 1).
        parity: Stop and read answers exactly as published: labels count anywhere in an answer.
        limit: First N instructions; 0 takes all.
        tasks_uri: Evaluation tasks that no instance may match: builtin:tasks or a URI; empty: no
            check.
        tasks_digest: Digest of the tasks, as check_inputs found them: other tasks are another
            run.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("generate_instances", locals())
