# ruff: noqa: E501
"""PPO on one large GPU: a LLaMA-2-shaped policy with random weights, LoRA rank 16, bf16.

Prints tokens/s, the share of time in rollout, scoring, reading and update, peak memory, and the
utilisation of the update:

    utilisation = 4 x parameters x tokens of the update / (seconds of the update x peak FLOP/s)

4 and not 6, because with LoRA the weights' own gradients are not computed: 2 for the forward pass,
2 for the backward pass through the activations. Tokens are prompt and action tokens times epochs.
Old log-probabilities and reference are two forward passes and are timed apart. The reward counts a
letter, so scoring costs nothing; a reward model adds its own time.

``--sizes 1b 3b 7b --batches 16 64`` shows how the numbers change; each pair is a process of its
own. Needs an NVIDIA GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
    },
    "3b": {
        "hidden_size": 3200,
        "intermediate_size": 8640,
        "num_hidden_layers": 26,
        "num_attention_heads": 32,
    },
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
}
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L4": 121e12}
"""Dense bf16 FLOP/s from the makers' data sheets, by a word of the device's name."""


def random_llama(size: str, layers: int | None = None) -> Any:  # noqa: ANN401
    """Return a LLaMA-2-shaped model with random weights in bfloat16, on the GPU where there is one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[size] | ({"num_hidden_layers": layers} if layers else {})
    config = LlamaConfig(vocab_size=32000, max_position_embeddings=4096, pad_token_id=1, **shape)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def saved_llama(folder: Path, size: str, layers: int) -> Path:
    """Write such a model with its tokenizer to a folder and return the folder."""
    from ppo_speed import plain_tokenizer

    random_llama(size, layers).save_pretrained(folder)
    plain_tokenizer(32000).save_pretrained(folder)
    return folder


def measured(size: str, options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Train a few updates and return the numbers of one setting."""
    from ppo_speed import plain_tokenizer

    from refine_af.contracts.progress import StageProgress
    from refine_af.ppo.episodes import Episode, Feedback, Prompt
    from refine_af.ppo.params import PPOParams
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.trainer import train
    from refine_af.ppo.transformers_rollout import TransformersRollout
    from refine_af.storage.journal import MemoryJournal

    model = random_llama(size)
    tokenizer = plain_tokenizer(32000)
    settings = PPOParams(
        updates=options.updates,
        episodes_per_update=batch,
        minibatch=min(batch, 16),
        microbatch=min(batch, options.microbatch),
        epochs=options.epochs,
        max_new_tokens=options.length,
        lora_rank=16,
        precision="bfloat16",
        max_kl=1e9,
        rollout_batch=batch,
        checkpoint_every=options.updates,
    )
    prompts = [Prompt(str(n), chr(97 + n) * options.prompt) for n in range(8)]

    def reward(episodes: list[Episode]) -> list[Feedback]:
        return [Feedback(float(one.action.count("e")), {}, True) for one in episodes]

    with tempfile.TemporaryDirectory() as folder:
        result = train(
            Policy(model, settings),
            tokenizer,
            prompts,
            reward,
            settings,
            journal=MemoryJournal(),
            progress=StageProgress("train_ppo"),
            rollout=TransformersRollout(tokenizer, settings),
            output=Path(folder),
        )
    return numbers(
        size, batch, options, result.telemetry, sum(one.numel() for one in model.parameters())
    )


def numbers(
    size: str, batch: int, options: argparse.Namespace, seconds: dict[str, float], parameters: int
) -> dict[str, Any]:
    """Return the row of one setting."""
    import torch

    phases = {name: seconds[f"{name}_seconds"] for name in ("rollout", "score", "read", "improve")}
    total = sum(phases.values())
    read = options.updates * batch * (options.prompt + options.length) * options.epochs
    row: dict[str, Any] = {
        "size": size,
        "batch": batch,
        "parameters": parameters,
        "action_tokens_per_second": round(seconds["tokens"] / total, 1),
        "update_tokens_per_second": round(read / phases["improve"], 1),
        "shares": {name: round(one / total, 3) for name, one in phases.items()},
    }
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        peak = next((flops for word, flops in PEAK.items() if word in name), None)
        row |= {"device": name, "peak_GiB": round(torch.cuda.max_memory_allocated() / 2**30, 1)}
        if peak:
            row["update_utilisation"] = round(4 * parameters * read / (phases["improve"] * peak), 3)
    return row


def main() -> int:
    """Run every size with every batch; 0 when 7b reaches 40 % in some batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SHAPES), default=["1b", "3b", "7b"])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--microbatch", type=int, default=8)
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of a prompt")
    parser.add_argument("--length", type=int, default=256, help="tokens of an action")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.sizes[0], options, options.batches[0])))
        return 0
    best = 0.0
    for size in options.sizes:
        for batch in options.batches:
            own = ["--one", "--sizes", size, "--batches", str(batch)]
            rest = [
                text
                for name in ("microbatch", "updates", "epochs", "prompt", "length")
                for text in (f"--{name}", str(getattr(options, name)))
            ]
            done = subprocess.run(
                [sys.executable, __file__, *own, *rest], stdout=subprocess.PIPE, text=True
            )
            if done.returncode:
                return done.returncode
            row = json.loads(done.stdout.strip().splitlines()[-1])
            print(json.dumps(row), flush=True)
            best = max(best, row.get("update_utilisation", 0.0)) if size == "7b" else best
    print(
        "utilisation = 4 x parameters x tokens of the update / (seconds of the update x peak FLOP/s)"
    )
    return 0 if best >= 0.4 else 1


if __name__ == "__main__":
    sys.exit(main())
