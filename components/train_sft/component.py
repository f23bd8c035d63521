"""KFP component ``train_sft``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-train_sft:0.1.0", install_kfp_package=False)
def train_sft(
    instances: dsl.Input[dsl.Dataset],
    adapter: dsl.Output[dsl.Model],
    merged: dsl.Output[dsl.Model],
    history: dsl.Output[dsl.Dataset],
    used: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    match: dsl.Input[dsl.Dataset] = None,
    match_2: dsl.Input[dsl.Dataset] = None,
    match_3: dsl.Input[dsl.Dataset] = None,
    seeds: dsl.Input[dsl.Dataset] = None,
    before: dsl.Input[dsl.Artifact] = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: str = "auto",
    processes: int = 1,
    nodes: int = 1,
    replicate: int = 0,
    method: str = "lora",
    rows: int = 0,
    include_seed_tasks: bool = True,
    template: str = "auto",
    epochs: float = 2.0,
    max_steps: int = 0,
    batch_size: int = 128,
    gradient_accumulation: int = 0,
    learning_rate: float = 0.0002,
    schedule: str = "cosine",
    warmup_ratio: float = 0.03,
    lora_rank: int = 16,
    lora_alpha: int = 32,
    lora_dropout: float = 0.05,
    max_length: int = 1024,
    packing: bool = False,
    padding_free: bool = False,
    merge: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    gradient_checkpointing: bool = True,
    checkpoint_steps: int = 50,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Fine-tune the base model on instances; loss on the completions only.

    Source: Self-Instruct (arXiv 2212.10560), section 2.3 and appendix A.3; REFINE-AF, stage 3.
    LoRA instead of full fine-tuning is the default.

    Args:
        instances: Instruction-input-output rows to train on.
        adapter: PEFT adapter with its page, or the full model.
        merged: Base and adapter in one, where `merge` asks for it.
        history: One row per optimizer step: loss, rate, tokens.
        used: Every offered row: its tokens, or why it was left out.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        match: Rows of another arm: only instructions that both hold are trained on, with equal
            counts. Optional.
        match_2: Rows of a further arm, likewise. Optional.
        match_3: Rows of a further arm, likewise. Optional.
        seeds: Seed tasks, trained on too where asked for. Optional.
        before: Records of the task before this one. Optional.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the
            engines transformers and vllm; for others auto is no).
        processes: Processes on each node, one GPU each; 0 takes all GPUs.
        nodes: Nodes; above 1 a Kubeflow TrainJob trains on them, and work_dir must be in a
            bucket.
        replicate: Number of the repetition: other draws, all else equal (the A/A arm has 1).
        method: lora; qlora (4-bit base weights, CUDA only); full (every weight).
        rows: Train on at most this many instances, one of each instruction first; 0: all.
        include_seed_tasks: Train on the seed tasks too.
        template: Words around a row: plain, alpaca, mix (13 forms), chat (the model's own
            template); auto: chat where the chat template is used, else plain.
        epochs: Passes over the rows; max_steps sets them aside.
        max_steps: Optimizer steps; 0 follows epochs.
        batch_size: Rows of one optimizer step.
        gradient_accumulation: Pieces a batch is cut into to save memory; 0: pieces of at most 16
            rows.
        learning_rate: Highest learning rate.
        schedule: Learning rate after warm-up.
        warmup_ratio: Share of the steps in which the learning rate rises from 0.
        lora_rank: Rank of the adapter, on all linear layers.
        lora_alpha: The adapter's output is scaled by alpha / rank.
        lora_dropout: Dropout on the adapter's input.
        max_length: Most tokens of prompt and completion; longer rows are left out and listed.
        packing: Several rows in one sequence, each attending to itself only; batch_size counts
            sequences.
        padding_free: Rows of a forward pass in one sequence, without padding.
        merge: Write the merged model too (lora, qlora).
        device: auto takes a GPU where there is one.
        dtype: Precision of the products; auto is bfloat16 on a GPU, float32 on the CPU.
        gradient_checkpointing: Recompute activations on a GPU to save memory.
        checkpoint_steps: Optimizer steps between checkpoints; 0 keeps none.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("train_sft", locals())
