"""The settings of a fine-tuning run; the parameters of the ``train_sft`` stage mirror them."""

from dataclasses import dataclass
from typing import Literal

from refine_af.contracts.errors import ParameterError

Method = Literal["lora", "qlora", "full"]
Schedule = Literal["cosine", "linear", "constant"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]

ROWS_AT_ONCE = 16
"""Most rows of one forward pass where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class SFTSettings:
    """What decides the trained weights besides model and rows.

    Attributes:
        seed: Of the adapter's start, the row order and dropout.
        method: ``lora``, ``qlora`` (4-bit base, CUDA only) or ``full``.
        epochs: Passes over the rows; ignored when ``max_steps`` is set.
        max_steps: Optimizer steps; 0 follows ``epochs``.
        batch_size: Rows of one optimizer step (packed sequences with ``packing``).
        gradient_accumulation: Pieces that a batch is cut into to save memory; 0 takes the fewest
            equal pieces of at most 16 rows.
        learning_rate: Peak of the schedule.
        schedule: Shape of the learning rate after warm-up.
        warmup_ratio: Share of the steps in which the rate rises from 0.
        lora_rank: Of every adapted layer.
        lora_alpha: The adapter's output is scaled by alpha / rank.
        lora_dropout: On the adapter's input.
        max_length: Most tokens of prompt and completion; longer rows are left out.
        packing: Several rows in one sequence, each attending to itself only.
        padding_free: The rows of a forward pass as one sequence without padding, each attending to
            itself only.
        gradient_checkpointing: Recompute activations on CUDA to save memory.
        checkpoint_steps: Steps between checkpoints; 0 keeps none.
        device: ``auto`` takes CUDA where there is one.
        dtype: ``auto`` is bfloat16 on CUDA and float32 on the CPU.
    """

    seed: int = 1
    method: Method = "lora"
    epochs: float = 2.0
    max_steps: int = 0
    batch_size: int = 128
    gradient_accumulation: int = 0
    learning_rate: float = 2e-4
    schedule: Schedule = "cosine"
    warmup_ratio: float = 0.03
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    max_length: int = 1024
    packing: bool = False
    padding_free: bool = False
    gradient_checkpointing: bool = True
    checkpoint_steps: int = 50
    device: Device = "auto"
    dtype: Precision = "auto"

    def __post_init__(self) -> None:
        """Refuse combinations that cannot work.

        Raises:
            ParameterError: Naming the parameters, their values and what to do.
        """
        if self.batch_size % self.pieces:
            raise ParameterError(
                f"batch_size is {self.batch_size} and gradient_accumulation"
                f" {self.gradient_accumulation}; the first must be a multiple of the second"
            )
        if self.method == "qlora" and self.device == "cpu":
            raise ParameterError(
                "method is 'qlora' and device is 'cpu'; 4-bit weights need a CUDA GPU: use a GPU"
                " or method lora"
            )

    @property
    def pieces(self) -> int:
        """Return how many forward passes make one optimizer step."""
        return self.pieces_for(1)

    def pieces_for(self, processes: int) -> int:
        """Return how many forward passes make one optimizer step, equally many per process.

        Raises:
            ParameterError: When the batch cannot be shared out so.
        """
        if self.gradient_accumulation and self.gradient_accumulation % processes == 0:
            return self.gradient_accumulation
        fewest = max(processes, -(-self.batch_size // ROWS_AT_ONCE))
        for count in range(fewest, self.batch_size + 1):
            if self.batch_size % count == 0 and count % processes == 0:
                return count
        raise ParameterError(
            f"batch_size is {self.batch_size} and processes {processes}; the first must be a"
            " multiple of the second"
        )
