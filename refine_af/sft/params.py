"""Parameters of fine-tuning."""

from typing import Literal

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import param, rule
from refine_af.contracts.randomness import replicate_seed
from refine_af.engines.chat import uses_chat
from refine_af.engines.params import ModelParams
from refine_af.processes.params import ProcessesParams

Template = Literal["plain", "alpaca", "mix", "chat"]
"""Words around a row."""

ROWS_AT_ONCE = 16
"""Most rows of one forward pass where nothing else is asked for."""


class SFTParams(ProcessesParams, ModelParams):
    """Model, rows, and how to train."""

    replicate: int = param(
        0, "Number of the repetition: other draws, all else equal (the A/A arm has 1).", ge=0
    )
    method: Literal["lora", "qlora", "full"] = param(
        "lora", "lora; qlora (4-bit base weights, CUDA only); full (every weight)."
    )
    rows: int = param(
        0,
        "Train on at most this many instances, one of each instruction first; 0: all.",
        ge=0,
        counts_rows=True,
    )
    include_seed_tasks: bool = param(
        True, "Train on the seed tasks too.", source="Self-Instruct, prepare_for_finetuning.py"
    )
    template: Literal["auto", "plain", "alpaca", "mix", "chat"] = param(
        "auto",
        "Words around a row: plain, alpaca, mix (13 forms), chat (the model's own template); auto:"
        " chat where the chat template is used, else plain.",
        source="mix: Self-Instruct, prepare_for_finetuning.py",
    )
    epochs: float = param(
        2.0,
        "Passes over the rows; max_steps sets them aside.",
        source="Self-Instruct, appendix A.3",
        gt=0,
    )
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

    def template_at(self, location: str) -> Template:
        """Return the template that ``template`` stands for.

        Args:
            location: Directory or Hub id of the base model, which may have a chat template.
        """
        if self.template != "auto":
            return self.template
        return "chat" if uses_chat(self.chat, location) else "plain"

    @property
    def draws(self) -> int:
        """Return the seed of the adapter's start, the row order and dropout."""
        return replicate_seed(self.seed, self.replicate)

    def pieces(self, processes: int = 1) -> int:
        """Return how many forward passes make one optimizer step, equally many per process.

        Raises:
            ParameterError: When the batch cannot be shared out so.
        """
        pieces = self._pieces(processes)
        if pieces is None:
            raise ParameterError(
                f"batch_size is {self.batch_size}; {_multiple_of('processes', processes)}"
            )
        return pieces

    def _pieces(self, processes: int) -> int | None:
        if self.gradient_accumulation and self.gradient_accumulation % processes == 0:
            return self.gradient_accumulation
        fewest = max(processes, -(-self.batch_size // ROWS_AT_ONCE))
        for count in range(fewest, self.batch_size + 1):
            if self.batch_size % count == 0 and count % processes == 0:
                return count
        return None

    @rule("batch_size")
    def batch_has_equal_pieces(self) -> str:
        """A batch is cut into equal pieces."""
        if self.gradient_accumulation and self.batch_size % self.gradient_accumulation:
            return _multiple_of("gradient_accumulation", self.gradient_accumulation)
        return ""

    @rule("batch_size")
    def processes_share_evenly(self) -> str:
        """All processes have equally many pieces."""
        if self._pieces(self.ranks) is None:
            return _multiple_of("processes times nodes", self.ranks)
        return ""

    @rule("method")
    def qlora_needs_a_gpu(self) -> str:
        """4-bit weights exist on CUDA alone."""
        if self.method == "qlora" and self.device == "cpu":
            return "4-bit weights need a CUDA GPU, and device is 'cpu'; use a GPU or method lora"
        return ""


def _multiple_of(name: str, value: int) -> str:
    return f"it must be a multiple of {name}, which is {value}"
