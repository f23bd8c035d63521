"""Memory of a fine-tuning step for the presets' backbones at full size, counted without a GPU.

    python benchmarks/sft_memory.py [--rows 8] [--tokens 1024]

``peak`` is what one piece of a batch needs: weights, activations of forward and backward pass,
gradients. Adam's moments (8 bytes a trained weight) come besides. The model is patched as TRL's
trainer patches it, so that logits are made in tiles.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import torch
from live_bytes import GIB, counted
from ppo_memory import SHAPES
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from refine_af.sft.base_model import _with_adapter
from refine_af.sft.params import SFTParams


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one piece: weights (with the adapter), trained weights, the most alive at once."""

    weights: int
    trained: int
    peak: int


def trainable_on_meta(config: Any, params: SFTParams) -> Any:  # noqa: ANN401
    """Return the model that ``train_sft`` trains on a GPU, without numbers in its weights."""
    dtype = torch.float32 if params.method == "full" else torch.bfloat16
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
            torch.set_default_dtype(torch.float32)
            if params.method != "full":
                model = _with_adapter(model, params)
    finally:
        torch.set_default_dtype(torch.float32)
    inner = model.get_base_model() if params.method != "full" else model
    add_fused_lm_head(inner, outputs=("log_probs", "entropy", "is_top1"))
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return model.train()


def piece_peak(model: Any, rows: int, tokens: int, *, recompute: bool) -> Piece:  # noqa: ANN401
    """Return what one piece needs; the model is of :func:`trainable_on_meta`, and used up."""
    if recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trained = 4 * sum(one.numel() for one in model.parameters() if one.requires_grad)
    with counted(model) as live:
        ids = torch.zeros(rows, tokens, dtype=torch.int64)
        weights = live.now
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                labels=ids,
                fused_lm_head=True,
            )
            loss = -found.log_probs.sum()
        loss.backward()
        return Piece(weights, trained, live.peak)


def main() -> int:
    """Print one line per backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=1024)
    options = parser.parse_args()
    sizes_of = f"{options.rows} rows of {options.tokens} tokens"
    print(f"| backbone, {sizes_of} | weights | all kept | recomputed |")
    print("| --- | --- | --- | --- |")
    for name, config in SHAPES.items():
        pieces = [
            piece_peak(
                trainable_on_meta(config, SFTParams()),
                options.rows,
                options.tokens,
                recompute=recompute,
            )
            for recompute in (False, True)
        ]
        sizes = (pieces[0].weights, *(piece.peak for piece in pieces))
        print(f"| {name} | " + " | ".join(f"{size / GIB:.1f}" for size in sizes) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
