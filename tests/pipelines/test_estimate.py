"""Estimates of memory and hours: by hand for Llama 2 7B, and said to be estimates."""

import pytest

from refine_af.pipelines.config import load_config, preset_names
from refine_af.pipelines.estimate import GIB, GPUS, estimates, summary_line
from refine_af.pipelines.plan import dry_run_text


def test_llama_2_7b_by_hand() -> None:
    config = load_config("llama2-7b", "")
    found = {one.task: one for one in estimates(config, "h100")}
    weights = 2 * 6.74e9
    # keys and values of 32 layers with 4,096 numbers of 2 bytes: half a MiB a token
    cache = 524_288
    generate = found["generate_instances (rl)"]
    assert generate.memory_gib == pytest.approx((weights + (800 + 350) * cache) / GIB)
    # 15,000 answers of 350 tokens; 98 side by side fit into 72 GiB
    at_once = int((0.9 * 80 * GIB - weights) / (1150 * cache))
    passes = 15_000 * 350 / at_once
    seconds = passes * (weights + at_once * 1150 * cache) / (0.6 * 3350e9)
    seconds += 2 * 6.74e9 * 800 * 15_000 / (0.35 * 989e12)
    assert generate.hours == pytest.approx(seconds / 3600)
    # rank 16 on seven matrices of 32 layers, 16 bytes each; 16 rows of 1,024 tokens
    adapter = 16 * 32 * (2 * 8192 + 2 * 8192 + 3 * (4096 + 11008))
    held = 2 * 4096 * 32 + 34 * 4096 + 8 * 32000
    tuned = found["train_sft (rl)"]
    assert tuned.memory_gib == pytest.approx((weights + 16 * adapter + 16 * 1024 * held) / GIB)
    tokens = 15_000 * 200 * 2
    assert tuned.hours == pytest.approx(6 * 6.74e9 * tokens / (0.35 * 989e12) / 3600)


def test_a_gpu_that_is_too_small_is_said_to_be() -> None:
    config = load_config("llama2-13b", "")
    assert "does not fit" in summary_line(config, "l4")
    assert any(one.hours is None for one in estimates(config, "l4"))


def test_every_backbone_has_an_estimate_marked_as_one() -> None:
    names = [name for name in preset_names() if load_config(name, "").backbone]
    assert {"llama2-7b", "llama2-13b", "mistral-7b"} < set(names)
    assert len(names) >= 5
    for name in names:
        for profile in GPUS:
            assert "an estimate, not measured" in summary_line(load_config(name, ""), profile)


def test_a_preset_without_a_backbone_has_none_and_a_base_is_inherited() -> None:
    assert summary_line(load_config("quickstart", ""), "h100") == ""
    base, own = load_config("default", ""), load_config("mistral-7b", "")
    assert own.stages == base.stages
    assert own.parameters["engine"] == "vllm"


def test_the_dry_run_lists_the_estimates() -> None:
    from pathlib import Path

    config = load_config("llama3.2-1b", "")
    text = dry_run_text(config, config, Path("runs/x"))
    head = next(line for line in text.splitlines() if line.startswith("task"))
    assert head.split()[:5] == ["task", "model", "calls", "l4", "h"]
    assert text.splitlines()[-1].startswith("in all on h100: at most ")
