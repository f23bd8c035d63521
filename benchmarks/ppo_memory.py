"""Memory of PPO's update for the presets' backbones at full size, and what recomputation costs.

    python benchmarks/ppo_memory.py          # bytes, counted with fake tensors: no GPU, no weights
    python benchmarks/ppo_memory.py --cost   # seconds of an update with and without, on the CPU

``peak`` is what one microbatch needs: weights, activations of forward and backward pass, gradients.
Adam's moments (8 bytes a trained weight), the reward's models and the rollout come besides.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from live_bytes import GIB, counted
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from refine_af.ppo.padding import Batch
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy


def _shape(kind: Any, *sizes: int, tied: bool = False) -> Any:  # noqa: ANN401
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names += ("num_key_value_heads", "vocab_size")
    return kind(**dict(zip(names, sizes, strict=True)), tie_word_embeddings=tied)


SHAPES = {
    "llama2-7b": _shape(LlamaConfig, 4096, 11008, 32, 32, 32, 32000),
    "llama2-13b": _shape(LlamaConfig, 5120, 13824, 40, 40, 40, 32000),
    "mistral-7b": _shape(MistralConfig, 4096, 14336, 32, 32, 8, 32000),
    "qwen2.5-1.5b": _shape(Qwen2Config, 1536, 8960, 28, 12, 2, 151936, tied=True),
    "smollm2-1.7b": _shape(LlamaConfig, 2048, 8192, 24, 32, 32, 49152, tied=True),
    "llama3.2-1b": _shape(LlamaConfig, 2048, 8192, 16, 32, 8, 128256, tied=True),
}
"""Published configurations of the presets' backbones, as far as memory depends on them."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes of one microbatch: weights (with the adapter), and the most that was alive at once."""

    weights: int
    peak: int


def resized(config: Any, layers: int, **sizes: int) -> Any:  # noqa: ANN401
    """Return the configuration with other sizes and so many layers."""
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    known = {name: getattr(config, name) for name in (*names, "vocab_size", "tie_word_embeddings")}
    return type(config)(**(known | {"num_hidden_layers": layers} | sizes))


def policy_on_meta(config: Any, rank: int = 16, precision: str = "bfloat16") -> Policy:  # noqa: ANN401
    """Return a policy in bfloat16 without numbers in its weights."""
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config).eval()
            torch.set_default_dtype(torch.float32)
            return Policy(model, PPOParams(lora_rank=rank, precision=precision))  # type: ignore[arg-type]
    finally:
        torch.set_default_dtype(torch.float32)


def microbatch_peak(
    policy: Policy, rows: int, prompt: int, action: int, *, recompute: bool
) -> Peak:
    """Return what one microbatch needs; the policy is of :func:`policy_on_meta`, and used up."""
    policy.recomputation.on = recompute
    policy.output_checked = True  # numbers would be needed
    policy.packs = False  # rows that share nothing: the most that is needed
    with counted(policy) as live:
        batch = Batch(
            torch.zeros(rows, prompt + action, dtype=torch.int64),
            torch.ones(rows, prompt + action, dtype=torch.bool),
            torch.ones(rows, action, dtype=torch.bool),
        )
        weights = live.now
        found = policy(batch)
        (found.logprobs.sum() + found.values.sum()).backward()
        return Peak(weights, live.peak)


def table(rows: int, prompt: int, action: int) -> None:
    """Print one line per backbone."""
    print(f"| backbone, {rows} rows of {prompt + action} tokens | weights | kept | recomputed |")
    print("| --- | --- | --- | --- |")
    for name, config in SHAPES.items():
        whole = microbatch_peak(policy_on_meta(config), rows, prompt, action, recompute=False)
        short = microbatch_peak(policy_on_meta(config), rows, prompt, action, recompute=True)
        sizes = (whole.weights, whole.peak, short.peak)
        print(f"| {name} | " + " | ".join(f"{size / GIB:.1f}" for size in sizes) + " |", flush=True)


def cost(rows: int, prompt: int, action: int) -> None:
    """Print seconds of a forward and backward pass with and without recomputation, in turns."""
    config = _shape(LlamaConfig, 576, 1536, 8, 9, 3, 49152, tied=True)
    policy = Policy(AutoModelForCausalLM.from_config(config).eval(), PPOParams(lora_rank=16))
    batch = Batch(
        torch.randint(0, 1000, (rows, prompt + action)),
        torch.ones(rows, prompt + action, dtype=torch.bool),
        torch.ones(rows, action, dtype=torch.bool),
    )
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(4):
        for recompute, found in seconds.items():
            policy.recomputation.on = recompute
            started = time.process_time()
            said = policy(batch)
            (said.logprobs.sum() + said.values.sum()).backward()
            found.append(time.process_time() - started)
    best = {name: min(found) for name, found in seconds.items()}
    print(f"kept {best[False]:.2f} s, recomputed {best[True]:.2f} s of processor time")
    print(f"recomputation costs {best[True] / best[False] - 1:.0%}")


def main() -> int:
    """Print the table, or the cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8, help="rows of a microbatch")
    parser.add_argument("--prompt", type=int, default=756, help="tokens of a prompt")
    parser.add_argument("--action", type=int, default=256, help="tokens of an action")
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    (cost if options.cost else table)(options.rows, options.prompt, options.action)
    return 0


if __name__ == "__main__":
    sys.exit(main())
