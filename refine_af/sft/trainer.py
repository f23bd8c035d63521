"""The training loop: TRL's ``SFTTrainer`` over tokens that are prepared, ordered and measured."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer, pack_dataset  # type: ignore[attr-defined]

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.stage import Journal, Progress
from refine_af.processes.group import ALONE, Processes
from refine_af.sft.base_model import uses_bfloat16
from refine_af.sft.checkpoints import CheckpointCallback, newest_checkpoint
from refine_af.sft.order import tokens_after_steps, training_order
from refine_af.sft.params import SFTParams


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The outcome of a run.

    Attributes:
        history: One row per optimizer step: ``step`` from 1, ``loss`` (mean over the batch's
            completion tokens, nats), ``learning_rate``, ``gradient_norm`` (before clipping),
            ``token_accuracy`` (share of completion tokens that the model ranked first) and
            ``tokens`` (read so far, padding not counted).
        telemetry: Tokens per second of this process; it varies from run to run.
    """

    history: list[dict[str, float]]
    telemetry: dict[str, float] = field(default_factory=dict)


def train(
    model: Any,  # noqa: ANN401  transformers is untyped
    tokenizer: Any,  # noqa: ANN401
    rows: Dataset,
    params: SFTParams,
    *,
    device: str,
    journal: Journal,
    progress: Progress,
    scratch: Path,
    processes: Processes = ALONE,
) -> TrainingResult:
    """Train ``model`` in place.

    A killed run continues from its newest checkpoint. On the CPU in float32 the outcome is bit
    for bit that of an uninterrupted run with the same number of threads.

    Args:
        model: Of :func:`refine_af.sft.base_model.load_trainable`.
        tokenizer: Its own, with end and padding token.
        rows: ``input_ids`` and ``labels``, none longer than ``max_length``.
        params: Of the run.
        device: ``cpu`` or ``cuda``.
        journal: Keeps the checkpoints.
        progress: Reports every step.
        scratch: An empty directory of this process.
        processes: This process among those of the run; each reads a share of every batch. The
            rows of a step do not depend on the number of processes, except for a last batch that
            is not full, which is filled up with rows from the start.

    Raises:
        ParameterError: When a loss is not finite, or the batch cannot be shared evenly.
    """
    ordered, lengths = _ordered_rows(rows, params)
    steps = math.ceil(len(ordered) / params.batch_size)
    resumed = newest_checkpoint(journal, scratch, progress) if processes.main else None
    resumed = processes.from_main(resumed)
    trainer = _OfflineTrainer(
        model=model,
        args=_arguments(params, steps, device, scratch / "trainer", processes.count),
        train_dataset=ordered,
        processing_class=tokenizer,
        callbacks=[
            _Watch(steps, progress, params.learning_rate),
            CheckpointCallback(journal, resumed),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    seconds = time.monotonic() - started
    tokens = tokens_after_steps(range(len(lengths)), lengths, params.batch_size)
    history = _history(trainer.state.log_history, tokens)
    before = tokens[_steps_done(resumed) - 1] if _steps_done(resumed) else 0
    return TrainingResult(history, {"tokens_per_second": (tokens[-1] - before) / seconds})


class _OfflineTrainer(SFTTrainer):
    """TRL's trainer without usage pings and without a model card per checkpoint."""

    def _send_telemetry(self) -> None:
        """Send nothing."""

    def create_model_card(self, *args: object, **kwargs: object) -> None:
        """Write nothing: the stage writes a model card from the rows."""


class _Watch(TrainerCallback):
    """Reports every step and stops at the first loss that is not a number."""

    def __init__(self, steps: int, progress: Progress, learning_rate: float) -> None:
        self._steps = steps
        self._progress = progress
        self._learning_rate = learning_rate

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Report the step that was just made."""
        loss = (kwargs.get("logs") or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise ParameterError(
                f"train_sft: the loss of step {state.global_step} is {loss}; training diverged:"
                f" lower learning_rate (now {self._learning_rate})"
            )
        self._progress.step(state.global_step, self._steps, "steps", loss=loss)


def _ordered_rows(rows: Dataset, params: SFTParams) -> tuple[Dataset, Sequence[int]]:
    """Return the rows in the order of training, repeated by epoch, and their lengths in tokens."""
    if params.packing:
        # Packed once: which rows share a sequence does not depend on the epoch.
        rows = pack_dataset(rows, params.max_length, "bfd")
    order = training_order(
        len(rows),
        epochs=params.epochs,
        max_steps=params.max_steps,
        batch_size=params.batch_size,
        seed=params.draws,
    )
    lengths = [len(ids) for ids in rows.with_format("numpy")["input_ids"]]
    return rows.select(order, keep_in_memory=True), [lengths[row] for row in order]


def _arguments(
    params: SFTParams, steps: int, device: str, folder: Path, processes: int
) -> SFTConfig:
    every = params.checkpoint_steps
    pieces = params.pieces(processes)
    config = SFTConfig(
        output_dir=str(folder),
        seed=params.draws,
        # The rows are already in order, epochs and all, so the trainer sees one epoch.
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=params.batch_size // pieces,
        gradient_accumulation_steps=pieces // processes,
        ddp_backend="gloo" if device == "cpu" and processes > 1 else None,
        ddp_find_unused_parameters=False if processes > 1 else None,
        learning_rate=params.learning_rate,
        lr_scheduler_type=params.schedule
        if params.schedule != "constant"
        else "constant_with_warmup",
        # Rounded down: the first step of a warm-up has rate 0, which short runs cannot afford.
        warmup_steps=int(params.warmup_ratio * steps),
        weight_decay=0.0,
        # Longer rows were left out before; TRL would refuse a limit that it does not keep itself.
        max_length=None if params.padding_free and not params.packing else params.max_length,
        padding_free=params.padding_free,
        packing=params.packing,
        # No map over prepared rows; packed ones are flattened by the collator.
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=device == "cpu",
        bf16=uses_bfloat16(params, device),
        gradient_checkpointing=params.gradient_checkpointing and device == "cuda",
        dataloader_pin_memory=device == "cuda",
        save_strategy="steps" if every else "no",
        save_steps=every or 1,
        save_only_model=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )
    # One process uses one GPU; with several visible the trainer would refuse to start.
    config._n_gpu = min(config.n_gpu, 1)
    return config


def _steps_done(resumed: Path | None) -> int:
    return int(resumed.name.rsplit("-", 1)[1]) if resumed else 0


def _history(log: Sequence[dict[str, Any]], tokens: Sequence[int]) -> list[dict[str, float]]:
    return [
        {
            "step": entry["step"],
            "loss": entry["loss"],
            "learning_rate": entry["learning_rate"],
            "gradient_norm": entry["grad_norm"],
            "token_accuracy": entry["mean_token_accuracy"],
            "tokens": tokens[entry["step"] - 1],
        }
        for entry in log
        if "loss" in entry
    ]


def peak_memory(device: str) -> dict[str, float]:
    """Return the most bytes that this process held, in main memory and on the GPU."""
    import resource

    memory = {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0}
    if device == "cuda":
        memory["peak_gpu_memory_bytes"] = float(torch.cuda.max_memory_allocated())
    return memory
