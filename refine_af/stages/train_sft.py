"""LoRA fine-tuning on instances: paired arms train on the same instructions and counts."""

from dataclasses import fields
from typing import Literal

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.params import Params, param
from refine_af.contracts.randomness import replicate_seed
from refine_af.contracts.records import Instance, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.sft.settings import SFTSettings

MATCHES = ("match", "match_2", "match_3")


class TrainSFTParams(Params):
    """Model, rows, and how to train."""

    model: str = param("builtin:tiny", "Base model: builtin:tiny, a Hub id, a path or a URI.")
    model_digest: str = param("", "Digest or revision of the model, as check_inputs found it.")
    seed: int = param(1, "Seed of the adapter's start, the row order and dropout.")
    replicate: int = param(
        0, "Number of the repetition: other draws, all else equal (the A/A arm has 1).", ge=0
    )
    method: Literal["lora", "qlora", "full"] = param(
        "lora", "lora; qlora (4-bit base weights, CUDA only); full (every weight)."
    )
    rows: int = param(
        0, "Train on at most this many instances, one of each instruction first; 0: all.", ge=0
    )
    include_seed_tasks: bool = param(
        True, "Train on the seed tasks too.", source="Self-Instruct, prepare_for_finetuning.py"
    )
    template: Literal["plain", "alpaca", "mix", "chat"] = param(
        "plain",
        "Words around a row: plain, alpaca, mix (13 forms), chat (the model's own template).",
        source="mix: Self-Instruct, prepare_for_finetuning.py",
    )
    epochs: float = param(2.0, "Passes over the rows.", source="Self-Instruct, appendix A.3", gt=0)
    max_steps: int = param(0, "Optimizer steps; 0 follows epochs.", ge=0)
    batch_size: int = param(
        128, "Rows of one optimizer step.", source="Stanford Alpaca, training recipe", ge=1
    )
    gradient_accumulation: int = param(
        0, "Pieces a batch is cut into to save memory; 0: pieces of at most 16 rows.", ge=0
    )
    learning_rate: float = param(2e-4, "Highest learning rate.", gt=0, lt=1)
    schedule: Literal["cosine", "linear", "constant"] = param(
        "cosine", "Learning rate after warm-up.", source="Stanford Alpaca, training recipe"
    )
    warmup_ratio: float = param(
        0.03,
        "Share of the steps in which the learning rate rises from 0.",
        source="Stanford Alpaca, training recipe",
        ge=0,
        lt=1,
    )
    lora_rank: int = param(16, "Rank of the adapter, on all linear layers.", ge=1)
    lora_alpha: int = param(32, "The adapter's output is scaled by alpha / rank.", ge=1)
    lora_dropout: float = param(0.05, "Dropout on the adapter's input.", ge=0, lt=1)
    max_length: int = param(
        1024, "Most tokens of prompt and completion; longer rows are left out and listed.", ge=8
    )
    packing: bool = param(
        False,
        "Several rows in one sequence, each attending to itself only; batch_size counts sequences.",
    )
    padding_free: bool = param(False, "Rows of a forward pass in one sequence, without padding.")
    processes: int = param(1, "Processes, one GPU each; 0 takes all GPUs.", method=False, ge=0)
    merge: bool = param(False, "Write the merged model too (lora, qlora).")
    device: Literal["auto", "cpu", "cuda"] = param("auto", "auto takes a GPU where there is one.")
    dtype: Literal["auto", "float32", "bfloat16"] = param(
        "auto", "Precision of the products; auto is bfloat16 on a GPU, float32 on the CPU."
    )
    gradient_checkpointing: bool = param(
        True, "Recompute activations on a GPU to save memory.", method=False
    )
    checkpoint_steps: int = param(
        50, "Optimizer steps between checkpoints; 0 keeps none.", method=False, ge=0
    )

    def settings(self) -> SFTSettings:
        """Return what the trainer needs to know."""
        values = {item.name: getattr(self, item.name) for item in fields(SFTSettings)}
        return SFTSettings(**values | {"seed": replicate_seed(self.seed, self.replicate)})


def run(params: TrainSFTParams, task: Task) -> Metrics:
    """Choose the rows, train, and write weights, history and the list of rows."""
    from refine_af.engines.models import resolve_model
    from refine_af.processes.start import started
    from refine_af.sft.run import Material, fine_tune, help_tuning

    settings = params.settings()
    with_seeds = params.include_seed_tasks and "seeds" in task.inputs
    material = Material(
        instances=_instances(task, "instances"),
        others=[_instances(task, name) for name in MATCHES if name in task.inputs],
        seeds=read_rows(task.inputs["seeds"], Seed) if with_seeds else [],
        rows=params.rows,
        template=params.template,
        model=params.model,
        model_digest=params.model_digest,
    )
    place = str(resolve_model(params.model))
    shared = (material, settings, place, task.scratch)
    with started(params.processes, help_tuning, *shared) as processes:
        outcome = fine_tune(
            material,
            settings,
            place,
            task.outputs["adapter"],
            journal=task.journal,
            progress=task.progress,
            scratch=task.scratch,
            processes=processes,
        )
    _merge(params, task)
    write_rows(task.outputs["history"], outcome.history)
    write_rows(task.outputs["used"], outcome.used)
    task.telemetry.update(outcome.telemetry)
    return outcome.metrics


def _merge(params: TrainSFTParams, task: Task) -> None:
    """Write the merged model, or a page that says how to get it: every output must be there."""
    target = task.outputs["merged"]
    if params.merge and params.method != "full":
        from refine_af.engines.models import resolve_model
        from refine_af.sft.base_model import save_merged

        save_merged(str(resolve_model(params.model)), task.outputs["adapter"], target)
        return
    target.mkdir()
    text = "No merged model was asked for: set the parameter `merge` of train_sft.\n"
    if params.method == "full":
        text = "Every weight was trained: the output `adapter` is the whole model.\n"
    (target / "README.md").write_text(text, encoding="utf-8")


def _instances(task: Task, name: str) -> list[Instance]:
    rows = read_rows(task.inputs[name], Instance)
    if not rows:
        raise DataError(f"train_sft: input {name!r} holds no row; nothing can be trained on")
    return rows


STAGE = Stage(
    name="train_sft",
    summary="Fine-tune the base model on instances; loss on the completions only.",
    params=TrainSFTParams,
    run=run,
    inputs=(
        Artifact("instances", "rows", "Instruction-input-output rows to train on."),
        Artifact(
            "match",
            "rows",
            "Rows of another arm: only instructions that both hold are trained on, with equal"
            " counts.",
            optional=True,
        ),
        *[Artifact(name, "rows", "Rows of a further arm, likewise.", True) for name in MATCHES[1:]],
        Artifact("seeds", "rows", "Seed tasks, trained on too where asked for.", optional=True),
    ),
    outputs=(
        Artifact("adapter", "model", "PEFT adapter with its page, or the full model."),
        Artifact("merged", "model", "Base and adapter in one, where `merge` asks for it."),
        Artifact("history", "rows", "One row per optimizer step: loss, rate, tokens."),
        Artifact("used", "rows", "Every offered row: its tokens, or why it was left out."),
    ),
    image="train",
    resources=Resources(cpu="8", memory="32Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 2.3 and appendix A.3; REFINE-AF, stage 3."
    " LoRA instead of full fine-tuning is the default.",
)
