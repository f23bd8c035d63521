"""KFP component ``generate_responses``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-generate_responses:0.1.0", install_kfp_package=False)
def generate_responses(
    instructions: dsl.Input[dsl.Dataset],
    instances: dsl.Output[dsl.Dataset],
    held_out: dsl.Output[dsl.Dataset],
    reference_rows: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    calls: dsl.Output[dsl.Dataset],
    ledger: dsl.Output[dsl.Artifact],
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
    style: str = "instruct",
    samples: int = 1,
    temperature: float = 0.7,
    top_p: float = 0.95,
    max_tokens: int = 1024,
    limit: int = 0,
    held_out_share: float = 0.0,
    reference_share: float = 0.0,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Answer every instruction once; drop refusals and empty words, hold some roots out.

    Source: TeaMs-RL (arXiv 2403.08694): one answer per instruction; WizardLM's rules on answers.

    Args:
        instructions: Rows with id, instruction and perhaps input and root.
        instances: Instruction-input-output rows to train on.
        held_out: The same of held-out roots: members of no training.
        reference_rows: The same of roots that train the reference model.
        rejected: Dropped answers with the rule.
        calls: Every model call: prompt's digest, seed, answer as it came.
        ledger: Calls and tokens per role and phase.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        adapter: What a training wrote, if anything. Optional.
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
        style: instruct: the answer alone is wanted; plain: as builtin:tiny was trained, which
            also writes the input where the instruction has none.
        samples: Answers per instruction.
        temperature: 0 is greedy.
        top_p: Nucleus mass.
        max_tokens: Most new tokens.
        limit: First N instructions; 0 takes all.
        held_out_share: Share of the roots whose answers go to held_out, never to training.
        reference_share: Share of the roots whose answers train nothing but a reference model for
            audit_privacy; 0: no such attack.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("generate_responses", locals())
