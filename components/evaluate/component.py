"""KFP component ``evaluate``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-evaluate:0.1.0", install_kfp_package=False)
def evaluate(
    predictions: dsl.Output[dsl.Dataset],
    scores: dsl.Output[dsl.Artifact],
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
    tasks_uri: str = "builtin:tasks",
    tasks_digest: str = "",
    instances: int = 100,
    gpt2_tokenizer: str = "",
    prompt: str = "auto",
    max_tokens: int = 128,
    stop: str = "\\n\\n",
    lm_eval: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Answer unseen tasks zero-shot and score them with the official SUPER-NI metrics.

    Source: REFINE-AF, evaluation on unseen SUPER-NI tasks; Tk-Instruct (arXiv 2204.07705).

    Args:
        predictions: One row per instance with both scores.
        scores: Per task, per category and overall, times 100.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        adapter: What a training wrote; without it the model as it is. Optional.
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
        tasks_uri: Natural-Instructions task files, or a list of them: builtin:tasks, a path or a
            URI.
        tasks_digest: Expected digest of the tasks; empty accepts any.
        instances: First N instances of each task.
        gpt2_tokenizer: GPT-2's tokenizer.json, a path or a URI: tasks in other languages need it.
        prompt: tk_instruct, plain, alpaca, bare (the task's words and the input alone), or a
            Jinja2 template of your own; auto: bare where the chat template is used, as train_sft
            trains there, else tk_instruct.
        max_tokens: Most tokens of an answer.
        stop: Text that ends an answer, backslash escapes allowed; empty: end token only.
        lm_eval: Tasks of lm-evaluation-harness beside, comma separated: names or .yaml files.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("evaluate", locals())
