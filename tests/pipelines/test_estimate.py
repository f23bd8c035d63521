"""Estimates of memory and hours: by hand for Llama 2 7B, and said to be estimates."""

from pathlib import Path

import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import RunConfig, load_config, preset_names
from refine_af.pipelines.costs import costs_page, profiles_by_gpu
from refine_af.pipelines.estimate import (
    GIB,
    GPUS,
    Estimate,
    estimates,
    refuse_misfit,
    summary_line,
)
from refine_af.pipelines.flow import Images
from refine_af.pipelines.plan import dry_run_text
from refine_af.targets.profile import load_profile, profile_names


def found(config: RunConfig, kind: str = "h100", gpus: int = 1) -> dict[str, Estimate]:
    return {one.task: one for one in estimates(config, kind, gpus)}


def with_values(preset: str, *values: str) -> RunConfig:
    return load_config(preset, "").with_values(values)


def test_llama_2_7b_by_hand() -> None:
    tasks = found(load_config("llama2-7b", ""))
    weights = 2 * 6.74e9
    # keys and values of 32 layers with 4,096 numbers of 2 bytes: half a MiB a token
    cache = 524_288
    generate = tasks["generate_instances (rl)"]
    length = 756 + 350
    assert generate.memory_gib == pytest.approx((weights + length * cache) / GIB)
    at_once = int((0.9 * 80 * GIB - weights) / (length * cache))
    seconds = 15_000 * 350 / at_once * (weights + at_once * length * cache) / (0.6 * 3350e9)
    seconds += 2 * 6.74e9 * 756 * 15_000 / (0.35 * 989e12)
    assert generate.hours == pytest.approx(seconds / 3600)
    # rank 16 on seven matrices of 32 layers: weight, gradient, moments in float32, a bfloat16 copy
    adapter = 18 * 16 * 32 * (2 * 8192 + 2 * 8192 + 3 * (4096 + 11008))
    # the rollout of 16 episodes is more than an update of 8 x 1,012 tokens
    acting = 16 * 1012 * cache + 16384 * 2 * (4 * 4096 + 3 * 11008)
    improving = 8 * 1012 * (2 * 32 * 4096 + 28 * 4096 + 15 * 11008)
    assert acting > improving
    scorers = 2 * 2.17e9
    expected = (weights + adapter + scorers + acting) / GIB
    assert tasks["train_ppo"].memory_gib == pytest.approx(expected)
    assert expected < 32


@pytest.mark.parametrize(
    ("task", "less", "more"),
    [
        ("train_ppo", "train_ppo.microbatch=8", "train_ppo.microbatch=64 train_ppo.minibatch=64"),
        ("train_ppo", "train_ppo.max_new_tokens=256", "train_ppo.max_new_tokens=1024"),
        ("train_ppo", "train_ppo.lora_rank=16", "train_ppo.lora_rank=64"),
        ("train_ppo", "train_ppo.lora_rank=16", "train_ppo.lora_rank=0"),
        ("train_ppo", "train_ppo.quantization=nf4", "train_ppo.quantization=none"),
        ("train_ppo", "train_ppo.precision=bfloat16", "train_ppo.precision=float32"),
        ("train_ppo", "train_ppo.rollout=vllm_server train_ppo.rollout_url=http://x", ""),
        ("train_ppo", "", "train_ppo.rollout=vllm"),
        ("train_ppo", "train_ppo.rollout_batch=8", "train_ppo.rollout_batch=64"),
        ("train_ppo", "train_ppo.sharded=true train_ppo.processes=4", "train_ppo.processes=4"),
        ("train_ppo", "train_ppo.style=plain", "train_ppo.style=few_shot"),
        ("train_ppo", "train_ppo.reward=embedded", "train_ppo.reward=balanced"),
        ("train_sft (rl)", "train_sft.method=lora", "train_sft.method=full"),
        ("train_sft (rl)", "train_sft.method=qlora", "train_sft.method=lora"),
        ("train_sft (rl)", "train_sft.max_length=512", "train_sft.max_length=2048"),
        ("train_sft (rl)", "train_sft.gradient_accumulation=64", ""),
        ("train_sft (rl)", "", "train_sft.gradient_checkpointing=false"),
        ("evaluate (start)", "evaluate.tensor_parallel_size=2", ""),
    ],
)
def test_memory_follows_every_parameter(task: str, less: str, more: str) -> None:
    small = found(with_values("llama2-7b", *less.split()))[task].memory_gib
    large = found(with_values("llama2-7b", *more.split()))[task].memory_gib
    assert small < large


def test_full_fine_tuning_by_hand() -> None:
    """The finding: 16 bytes of each of 6.74e9 weights are 100 GiB, and 23 were printed."""
    tuned = found(with_values("llama2-7b", "train_sft.method=full"))["train_sft (rl)"]
    assert tuned.memory_gib > 16 * 6.74e9 / GIB
    assert found(with_values("llama2-7b", "train_ppo.lora_rank=0"))["train_ppo"].memory_gib > 135


def test_hours_follow_processes_and_the_second_pass_of_recomputation() -> None:
    one = found(load_config("llama2-7b", ""))["train_ppo"]
    two = found(with_values("llama2-7b", "train_ppo.processes=2"))["train_ppo"]
    plain = found(with_values("llama2-7b", "train_ppo.microbatch=1", "train_ppo.style=plain"))
    assert one.hours is not None
    assert two.hours == pytest.approx(one.hours / 2)
    assert (plain["train_ppo"].hours or 0) < one.hours


def test_13b_fits_two_gpus_of_24_gb_and_one_of_80() -> None:
    assert all(one.hours for one in estimates(load_config("llama2-13b", ""), "a100"))
    small = with_values(
        "llama2-13b",
        "train_ppo.processes=2",
        "train_ppo.microbatch=2",
        "train_ppo.rollout_batch=4",
        "train_sft.method=qlora",
        "train_sft.gradient_accumulation=64",
        *(
            f"{stage}.tensor_parallel_size=2"
            for stage in ("generate_instructions", "generate_instances", "evaluate")
        ),
    )
    assert all(one.hours for one in estimates(small, "l4", 2))


@pytest.mark.parametrize("preset", ["qwen2.5-1.5b", "smollm2-1.7b", "llama3.2-1b"])
def test_small_backbones_keep_a_reserve_of_15_percent_on_24_gb(preset: str) -> None:
    assert max(one.memory_gib for one in estimates(load_config(preset, ""), "l4")) < 0.85 * 24


def test_compiling_refuses_what_does_not_fit_with_the_number_and_the_cure() -> None:
    with pytest.raises(
        ParameterError, match=r"train_ppo needs 27 GiB \(set train_ppo.microbatch=4"
    ):
        compile_request(load_config("llama2-7b", ""), "l4", Images("", "1"))
    compile_request(load_config("llama2-7b", ""), "a100", Images("", "1"))


def test_vllm_beside_training_fits_80_gb_with_7b() -> None:
    acting = found(with_values("llama2-7b", "train_ppo.rollout=vllm"))["train_ppo"]
    assert acting.hours is not None
    assert acting.memory_gib > 0.4 * 80


def test_the_page_of_costs_holds_every_pair() -> None:
    text = costs_page(Path(__file__).parents[2].joinpath("docs/costs-and-gpus.md").read_text())
    for preset in ("llama2-7b", "llama2-13b", "mistral-7b", "qwen2.5-1.5b", "llama2-7b-smoke"):
        assert f"\n| {preset} | " in text
    assert "refused: train_ppo, train_sft" in text


PAIRS = [
    (preset, profile, kind)
    for preset in preset_names()
    for kind, profiles in profiles_by_gpu().items()
    for profile in profiles
]


def test_every_profile_with_a_gpu_has_a_column() -> None:
    with_gpu = {name for name in profile_names() if load_profile(name).gpus}
    assert {profile for _, profile, _ in PAIRS} == with_gpu


@pytest.mark.parametrize(("preset", "profile", "kind"), PAIRS)
def test_the_page_says_of_each_pair_what_compiling_does(
    preset: str, profile: str, kind: str
) -> None:
    config, hardware = load_config(preset, ""), load_profile(profile)
    page = Path(__file__).parents[2].joinpath("docs/costs-and-gpus.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {preset} | ")][:1] or [""]
    cells = dict(zip(GPUS, row.split(" | ")[2:], strict=False))
    try:
        refuse_misfit(config, hardware.gpu_kind, hardware.gpus)
    except ParameterError:
        assert cells[kind].startswith("refused: ")
    else:
        assert not cells or "refused" not in cells[kind]
        assert bool(cells) == (config.backbone is not None)


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
    assert own.stages == base.stages | {"check_inputs": {"packaged_tasks": False}}
    assert own.parameters["engine"] == "vllm"


def test_the_dry_run_lists_the_estimates() -> None:
    config = load_config("llama3.2-1b", "")
    text = dry_run_text(config, config, Path("runs/x"))
    head = next(line for line in text.splitlines() if line.startswith("task"))
    assert head.split()[:5] == ["task", "model", "calls", "l4", "h"]
    assert text.splitlines()[-1].startswith("in all on h100: at most ")
