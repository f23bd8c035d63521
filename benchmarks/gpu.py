"""Everything that one GPU must answer, in twelve minutes: parts in order of worth, one JSON file.

    python benchmarks/gpu.py --out gpu.json                 # one 80 GB GPU, all parts
    python benchmarks/gpu.py --out gpu.json --parts memory ppo
    python benchmarks/gpu.py --out gpu.json --tiny          # the same on any machine, toy sizes

Weights are random, of LLaMA-2-7B's shape; nothing is downloaded. Each part is a process of its own
that is ended at its limit, and the file is written after each, so what is known is kept whatever
happens. ``memory``: the most that PyTorch allocated in an update against the formula of
``refine_af.ppo.activations``. ``ppo``: tokens a second and utilisation, see ``ppo_gpu.py``.
``vllm``: log-probabilities of vLLM's actions against the trainer's. ``nf4``: a 4-bit policy trains
a step. ``sft``: fine-tuning with an adapter, and in 4 bits, starts and steps.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMITS = {"memory": 120, "ppo": 240, "vllm": 180, "nf4": 90, "sft": 90}
"""Seconds of each part, 720 together."""

LAYERS_ON_DISK = 4
"""Layers of the models that are written to a folder first: full width, a minute less to write."""

Row = dict[str, Any]


def memory(tiny: bool) -> Row:
    """Return bytes of one update against the formula, with and without recomputation."""
    import torch
    from ppo_gpu import SHAPES, random_llama

    from refine_af.ppo.activations import LayerShape, update_bytes
    from refine_af.ppo.padding import pad
    from refine_af.ppo.params import PPOParams
    from refine_af.ppo.policy import Policy

    model = random_llama("tiny" if tiny else "7b")
    policy = Policy(model, PPOParams(lora_rank=16, precision="bfloat16"))
    prompt, action, rows = (20, 10, 2) if tiny else (756, 256, 8)
    sizes = SHAPES["tiny" if tiny else "7b"]
    shape = LayerShape(sizes["num_hidden_layers"], sizes["hidden_size"], sizes["intermediate_size"])
    adapter = sum(one.numel() for one in policy.trainable().values())
    found: Row = {}
    for recomputed, count in ((True, rows), (False, max(1, rows // 4))):
        policy.recomputation.on = recomputed
        batch = pad([[5] * prompt] * count, [[7] * action] * count, policy.device)
        before = _reset()
        started = time.perf_counter()
        said = policy(batch)
        (said.logprobs.sum() + said.values.sum()).backward()
        peak = _peak()
        tokens = count * (prompt + action)
        expected = update_bytes(shape, tokens, half=True, recomputed=recomputed) + 6 * adapter
        found["recomputed" if recomputed else "kept"] = {
            "rows": count,
            "tokens": tokens,
            "weights_gib": before / 2**30,
            "measured_gib": None if peak is None else (peak - before) / 2**30,
            "formula_gib": expected / 2**30,
            "seconds": time.perf_counter() - started,
        }
        policy.zero_grad()
        del said
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return found


def ppo(tiny: bool) -> Row:
    """Return speed, shares of time, memory and utilisation of two updates."""
    from ppo_gpu import measured

    options = argparse.Namespace(
        updates=1 if tiny else 2,
        microbatch=2 if tiny else 8,
        epochs=1 if tiny else 4,
        prompt=20 if tiny else 756,
        length=8 if tiny else 256,
    )
    return measured("tiny" if tiny else "7b", options, 2 if tiny else 16)


def vllm(tiny: bool) -> Row:
    """Return how far vLLM's log-probabilities are from the trainer's, before and after a step."""
    import torch
    from ppo_gpu import saved_llama

    from refine_af.engines.models import load_model
    from refine_af.ppo.experience import experience, forward_outputs
    from refine_af.ppo.metrics import rollout_mismatch
    from refine_af.ppo.params import PPOParams
    from refine_af.ppo.policy import Policy
    from refine_af.ppo.vllm_rollout import VLLMRollout

    found: Row = {}
    with tempfile.TemporaryDirectory() as folder:
        place = saved_llama(Path(folder, "model"), "tiny" if tiny else "7b", LAYERS_ON_DISK)
        settings = PPOParams(
            lora_rank=16, precision="bfloat16", max_new_tokens=16 if tiny else 128, minibatch=8
        )
        model, tokenizer = load_model(str(place))
        policy = Policy(model, settings)
        rollout = VLLMRollout(
            place, tokenizer, settings, Path(folder), max_model_len=512, dtype="auto"
        )
        prompts = [[5 + row] * 40 for row in range(8)]
        for name in ("start", "moved"):
            actions = rollout.act(policy, prompts, list(range(8)))
            outputs = forward_outputs(policy, prompts, actions, 1, settings)
            known = experience(prompts, actions, outputs, torch.zeros(8), 0.0, settings)
            found[name] = rollout_mismatch(known)
            with torch.no_grad():
                for one in policy.trainable().values():
                    one.add_(0.02 * torch.randn_like(one))
    return found


def nf4(tiny: bool) -> Row:
    """Return memory and seconds of a step of a policy over 4-bit weights."""
    from ppo_gpu import saved_llama

    from refine_af.engines.models import load_model
    from refine_af.ppo.padding import pad
    from refine_af.ppo.params import PPOParams
    from refine_af.ppo.policy import Policy

    with tempfile.TemporaryDirectory() as folder:
        place = saved_llama(Path(folder), "tiny" if tiny else "7b", LAYERS_ON_DISK)
        model, _ = load_model(str(place), quantization="nf4")
        policy = Policy(model, PPOParams(lora_rank=16, precision="bfloat16"))
        policy.recomputation.on = True
        before, started = _reset(), time.perf_counter()
        batch = pad([[5] * 100] * 2, [[7] * 20] * 2, policy.device)
        policy(batch).logprobs.sum().backward()
        peak = _peak()
        return {
            "weights_gib": before / 2**30,
            "peak_gib": None if peak is None else peak / 2**30,
            "seconds": time.perf_counter() - started,
        }


def sft(tiny: bool) -> Row:
    """Return seconds and memory of fine-tuning steps, with whole and with 4-bit weights."""
    import torch
    from ppo_gpu import saved_llama

    from refine_af.contracts.progress import StageProgress
    from refine_af.sft.base_model import load_trainable
    from refine_af.sft.encoding import Example, write_examples
    from refine_af.sft.params import SFTParams
    from refine_af.sft.trainer import train
    from refine_af.storage.journal import MemoryJournal

    found: Row = {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        place = saved_llama(Path(folder, "model"), "tiny" if tiny else "7b", LAYERS_ON_DISK)
        import numpy as np
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(place)
        tokenizer.pad_token = tokenizer.eos_token
        length = 24 if tiny else 512
        examples = [Example(np.full(length, 5 + row), length // 2) for row in range(16)]
        rows = write_examples(Path(folder, "rows.arrow"), examples)
        for method in ("lora",) if device == "cpu" else ("lora", "qlora"):
            settings = SFTParams(
                method=method,  # type: ignore[arg-type]
                max_steps=2,
                batch_size=8,
                max_length=length,
                checkpoint_steps=0,
            )
            model = load_trainable(str(place), settings, device)
            scratch = Path(folder, method)
            scratch.mkdir()
            _reset()
            started = time.perf_counter()
            result = train(
                model,
                tokenizer,
                rows,
                settings,
                device=device,
                journal=MemoryJournal(),
                progress=StageProgress("train_sft"),
                scratch=scratch,
            )
            peak = _peak()
            found[method] = {
                "seconds": time.perf_counter() - started,
                "losses": [row["loss"] for row in result.history],
                "peak_gib": None if peak is None else peak / 2**30,
            }
    return found


PARTS: dict[str, Callable[[bool], Row]] = {
    "memory": memory,
    "ppo": ppo,
    "vllm": vllm,
    "nf4": nf4,
    "sft": sft,
}


def _reset() -> int:
    """Start a new measurement; return the bytes that are allocated now."""
    import torch

    if not torch.cuda.is_available():
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.memory_allocated())


def _peak() -> int | None:
    """Return the most bytes that were allocated since; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated())


def run_part(name: str, tiny: bool, limit: float) -> Row:
    """Run one part in a process of its own and return what it found, or why it did not."""
    command = [sys.executable, __file__, "--one", name, *(["--tiny"] if tiny else [])]
    started = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"ended": f"at its limit of {limit:.0f} s"}
    seconds = time.monotonic() - started
    if done.returncode:
        return {"ended": f"with {done.returncode}", "said": done.stderr[-2000:], "seconds": seconds}
    return {"found": json.loads(done.stdout.strip().splitlines()[-1]), "seconds": seconds}


def main() -> int:
    """Run the parts in order and write the file after each; 0 when all ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=12.0, help="of all parts together")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, for a machine without GPU")
    parser.add_argument("--one", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(PARTS[options.one](options.tiny)))
        return 0
    end = time.monotonic() + 60 * options.minutes
    results: dict[str, Row] = {}
    for name in options.parts:
        left = end - time.monotonic()
        if left < 10:
            results[name] = {"ended": "before it began: no time was left"}
        else:
            results[name] = run_part(name, options.tiny, min(LIMITS[name], left))
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    return int(any("found" not in row for row in results.values()))


if __name__ == "__main__":
    sys.exit(main())
