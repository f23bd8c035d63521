"""Estimates of memory and hours: by hand for Llama 2 7B, and said to be estimates."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from refine_af.contracts.errors import ParameterError
from refine_af.generate import ROOT
from refine_af.pipelines.backbones import KNOWN, Backbone, shape_of
from refine_af.pipelines.compiling import compile_request
from refine_af.pipelines.config import RunConfig, load_config, parse, preset_names
from refine_af.pipelines.costs import THIS_MACHINE, costs_page, profiles_by_column
from refine_af.pipelines.devices import GIB, GPUS
from refine_af.pipelines.estimate import (
    Estimate,
    estimates,
    estimates_on,
    refuse_misfit,
    summary_line,
    unchecked_lines,
    unknown_lines,
)
from refine_af.pipelines.flow import Images
from refine_af.pipelines.plan import dry_run_text
from refine_af.targets.profile import Profile, load_profile, profile_names

PAGE = ROOT / "docs/costs-and-gpus.md"
EMBEDDED = {
    "claim", "quickstart", "smoke", "teams-rl-controls", "teams-rl-quickstart", "teams-rl-smoke",
}  # fmt: skip
"""Presets of models that the package brings."""


def found(config: RunConfig, kind: str = "h100", gpus: int = 1) -> dict[str, Estimate]:
    return {one.task: one for one in estimates(config, GPUS[kind], gpus)}


def with_values(preset: str, *values: str) -> RunConfig:
    return load_config(preset, "").with_values(values)


def test_llama_2_7b_by_hand() -> None:
    tasks = found(load_config("llama2-7b", ""))
    weights = 2 * 6.74e9
    # keys and values of 32 layers with 4,096 numbers of 2 bytes: half a MiB a token
    cache = 524_288
    generate = tasks["generate_instances (baseline)"]
    length = 756 + 350
    # vLLM does not start without room for all 4,096 positions
    assert generate.memory_gib == pytest.approx((weights + 4096 * cache) / GIB)
    at_once = int((0.9 * 80 * GIB - weights) / (length * cache))
    seconds = 15_000 * 350 / at_once * (weights + at_once * length * cache) / (0.6 * 3350e9)
    # the prompts, and the question whether an instruction is classification
    seconds += 2 * 6.74e9 * (756 + 320) * 15_000 / (0.35 * 989e12)
    assert generate.hours == pytest.approx(seconds / 3600)
    # rank 64 is what vLLM keeps room for: two bytes a weight
    matrices = 32 * (2 * 8192 + 2 * 8192 + 3 * (4096 + 11008))
    with_adapter = tasks["generate_instances (rl)"].memory_gib
    assert with_adapter - generate.memory_gib == pytest.approx(2 * 64 * matrices / GIB)
    # rank 16 on seven matrices of 32 layers: weight, gradient, moments in float32, a bfloat16 copy
    adapter = 18 * 16 * matrices
    # the rollout of 16 episodes is more than an update of 8 x 1,012 tokens
    acting = 16 * 1012 * cache + 16 * 1012 * 2 * (4 * 4096 + 3 * 11008)
    improving = 8 * 1012 * (2 * 32 * 4096 + 28 * 4096 + 15 * 11008)
    assert acting > improving
    scorers = 2 * 2.17e9
    expected = (weights + adapter + scorers + acting) / GIB
    assert tasks["train_ppo"].memory_gib == pytest.approx(expected)
    assert expected < 32


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
    """The page's command, with what the page says of its memory."""
    assert all(one.fits for one in estimates(load_config("llama2-13b", ""), GPUS["a100"]))
    page = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"refine-af compile --preset llama2-13b .*", page)
    values = re.findall(r"--set (\S+)", command)
    small = with_values("llama2-13b", *values)
    assert "--profile l4x2" in command
    refuse_misfit(small, load_profile("l4x2"))
    on_two = {one.task: one for one in estimates_on(small, load_profile("l4x2"))}
    most = max(one.memory_gib for one in on_two.values())
    assert most == on_two["train_ppo"].memory_gib
    assert f"| {most:.0f} (`train_ppo`), of {on_two['train_ppo'].limit_gib:.0f} |" in page
    with pytest.raises(ParameterError, match=r"gives a\s+task 1 GPUs"):
        refuse_misfit(small, load_profile("l4"))


@pytest.mark.parametrize("preset", ["qwen2.5-1.5b", "smollm2-1.7b", "llama3.2-1b"])
def test_small_backbones_keep_a_reserve_of_15_percent_on_24_gb(preset: str) -> None:
    config = load_config(preset, "")
    assert max(one.memory_gib for one in estimates(config, GPUS["l4"])) < 0.85 * 24


def test_vllm_beside_training_fits_80_gb_with_7b() -> None:
    acting = found(with_values("llama2-7b", "train_ppo.rollout=vllm"))["train_ppo"]
    assert acting.fits
    assert acting.memory_gib > 0.4 * 80


# The model that is used decides, whatever names it


def test_the_default_preset_is_refused_where_its_model_is() -> None:
    """It named no sizes, so it compiled for 24 GB where mistral-7b with the same model did not."""
    for preset in ("default", "parity", "mistral-7b"):
        with pytest.raises(ParameterError, match="train_ppo needs 28 GiB"):
            compile_request(load_config(preset, ""), "l4", Images("", "1"))


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Llama-2-13b-hf",
        "meta-llama/Llama-2-13b-hf@main",
        "s3://models/Llama-2-13b-hf/",
        "another/llama-2-13b-hf",
    ],
)
@pytest.mark.parametrize("preset", ["default", "qwen2.5-1.5b", "llama2-7b"])
def test_a_model_by_set_is_estimated_as_itself(preset: str, model: str) -> None:
    config = with_values(preset, f"model={model}")
    assert found(config)["evaluate (start)"].memory_gib > 2 * 13e9 / GIB
    with pytest.raises(ParameterError, match=r"needs 2[78] GiB"):
        refuse_misfit(config, load_profile("l4"))


def test_the_model_of_one_stage_is_estimated_as_itself() -> None:
    config = with_values("qwen2.5-1.5b", "evaluate.model=meta-llama/Llama-2-13b-hf")
    tasks = found(config)
    assert tasks["evaluate (start)"].memory_gib > 24
    assert tasks["train_sft (rl)"].memory_gib < 10


def test_an_unknown_model_is_said_to_be_unchecked() -> None:
    config = with_values("llama2-7b", "model=ours/new-9b")
    (line,) = unknown_lines(config)
    assert line.startswith("size of ours/new-9b unknown: memory not checked")
    assert "--set backbone=" in line
    assert line in dry_run_text(config, config, Path("runs/x"))
    assert compile_request(config, "l4", Images("", "1")).unchecked == (line,)
    assert not found(config).get("train_ppo")


def test_backbone_says_the_size_of_an_unknown_model() -> None:
    known = with_values("default", "model=ours/new", "backbone=meta-llama/Llama-2-7b-hf")
    same = with_values("default", "model=meta-llama/Llama-2-7b-hf")
    assert unknown_lines(known) == []
    assert estimates(known, GPUS["a100"]) == estimates(same, GPUS["a100"])
    sizes = KNOWN["meta-llama/Llama-2-7b-hf"].model_dump()
    own = parse({"parameters": {"model": "ours/new"}, "backbone": sizes}, "own.yaml")
    assert found(own)["train_ppo"].memory_gib > 20
    moved = own.with_values(("model=other/new",))  # the sizes were those of the earlier model
    assert "size of other/new unknown" in unknown_lines(moved)[0]


def test_a_backbone_that_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'meta-llama/Llama-2-7b-hf'"):
        with_values("default", "backbone=meta-llama/Llama-2-7b")


def test_a_scorers_model_counts_and_is_asked_about() -> None:
    pmi = ("train_ppo.reward=pmi", "score_rewards.reward=pmi")
    small = found(with_values("llama2-7b", *pmi))
    large_model = "train_ppo.language_model=mistralai/Mistral-7B-v0.1"
    large = found(with_values("llama2-7b", *pmi, large_model))
    grown = large["train_ppo"].memory_gib - small["train_ppo"].memory_gib
    assert grown == pytest.approx(2 * (7.242e9 - 0.124e9) / GIB)
    (line,) = unknown_lines(with_values("llama2-7b", *pmi, "train_ppo.language_model=ours/lm"))
    assert "ours/lm" in line
    assert "train_ppo" in line


def weights_of(name: str, *, tied: bool, head_dim: int = 0, heads: int = 0) -> float:
    """Return a gated decoder's weights by its shape."""
    shape = KNOWN[name]
    asked = heads * head_dim or shape.hidden
    attention = 2 * shape.hidden * asked + 2 * shape.hidden * shape.kv_width
    layer = attention + 3 * shape.hidden * shape.intermediate
    return shape.layers * layer + (1 if tied else 2) * shape.vocabulary * shape.hidden


TIED = ("Llama-3.2", "Qwen2.5-0.5B", "Qwen2.5-1.5B", "SmolLM2", "gemma")


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_sizes_add_up_to_the_weights(name: str) -> None:
    tied = any(word in name for word in TIED)
    own = {"head_dim": 256, "heads": 4} if "gemma" in name else {}
    assert weights_of(name, tied=tied, **own) == pytest.approx(KNOWN[name].parameters, rel=0.005)


def test_a_folder_says_its_own_size(tmp_path: Path) -> None:
    config = {
        "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 128, "vocab_size": 500,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    for number in (1, 2):
        save_file(
            {"a": torch.zeros(10, 20), "b": torch.zeros(7)}, tmp_path / f"{number}.safetensors"
        )
    sizes = (3, 64, 128, 2 * 16, 500, 256)
    names = ("layers", "hidden", "intermediate", "kv_width", "vocabulary", "context")
    expected = Backbone(parameters=2 * 207, **dict(zip(names, sizes, strict=True)))
    assert shape_of(str(tmp_path)) == expected
    (tmp_path / "1.safetensors").write_bytes(b"\xff" * 20)
    assert shape_of(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("[]")
    assert shape_of(str(tmp_path)) is None


# What compiling refuses


def profile(**fields: object) -> Profile:
    return Profile.model_validate({"name": "own", "summary": "x", "gpus": 1} | fields)


def test_a_part_of_a_gpu_is_held_to_its_own_memory() -> None:
    """gpu_memory_gib was not read: a MIG slice was taken for the whole GPU."""
    config = load_config("llama2-7b", "")
    refuse_misfit(config, profile(gpu_kind="h100"))
    slice_of = profile(gpu_kind="h100", gpu_memory_gib=20, gpu_resource="nvidia.com/mig-1g.20gb")
    with pytest.raises(ParameterError, match="gives 18 GiB to plan with"):
        refuse_misfit(config, slice_of)
    with pytest.raises(ParameterError, match="gives 18 GiB to plan with"):
        refuse_misfit(config, profile(gpu_memory_gib=20))


def test_a_profile_that_does_not_say_its_memory_is_said_to_be_unchecked() -> None:
    config = load_config("llama2-7b", "")
    for fields in ({}, {"gpu_kind": "t4"}):
        refuse_misfit(config, profile(**fields))
        (line,) = unchecked_lines(config, profile(**fields))
        assert "says neither gpu_memory_gib nor a known gpu_kind" in line
    assert unchecked_lines(config, profile(gpu_kind="h100")) == []


def test_pods_without_a_gpu_are_held_to_their_memory() -> None:
    with pytest.raises(ParameterError, match=r"has no GPU, .*evaluate needs 27 GiB of 14"):
        compile_request(load_config("llama2-7b", ""), "cpu", Images("", "1"))
    compile_request(load_config("quickstart", ""), "cpu-small", Images("", "1"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("evaluate.tensor_parallel_size=2", "evaluate.tensor_parallel_size is 2"),
        ("train_ppo.processes=4", "train_ppo.processes is 4"),
        ("train_sft.processes=2", "train_sft.processes is 2"),
    ],
)
def test_more_gpus_than_the_profile_gives_are_refused(value: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        compile_request(with_values("llama2-7b", value), "a100", Images("", "1"))


def test_a_part_of_a_run_is_held_to_its_own_tasks() -> None:
    config = load_config("llama2-7b", "")
    refuse_misfit(config, load_profile("l4"), frozenset({"evaluate (rl)"}))
    with pytest.raises(ParameterError, match="train_sft needs"):
        refuse_misfit(config, load_profile("l4"), frozenset({"train_sft (rl)"}))


MISFITS = [
    (preset, kind)
    for preset in preset_names()
    for kind in GPUS
    if not all(one.fits for one in estimates(load_config(preset, ""), GPUS[kind]))
]


@pytest.mark.parametrize(("preset", "kind"), MISFITS)
def test_the_cure_of_a_refusal_cures_it(preset: str, kind: str) -> None:
    """Each stage's cure was named whether it helped or not."""
    config = load_config(preset, "")
    hardware = profile(gpu_kind=kind)
    with pytest.raises(ParameterError) as caught:
        refuse_misfit(config, hardware)
    cures = re.findall(r"\(set ([^)]*)\)", str(caught.value))
    assert cures
    values = [word for cure in cures for word in cure.split() if "=" in word]
    gpus = max([1, *(int(count) for count in re.findall(r"profile with (\d+) GPUs", str(cures)))])
    refuse_misfit(config.with_values(tuple(values)), profile(gpu_kind=kind, gpus=gpus))


def test_where_no_setting_helps_the_refusal_says_so() -> None:
    with pytest.raises(ParameterError, match=r"train_ppo needs \d+ GiB \(no setting of its"):
        refuse_misfit(with_values("llama2-7b"), profile(gpu_memory_gib=8))


# The page


PAIRS = [
    (preset, name, title)
    for preset in preset_names()
    for title, names in profiles_by_column().items()
    for name in names
]


def test_every_profile_has_a_column() -> None:
    assert {name for _, name, _ in PAIRS} == set(profile_names()) - {THIS_MACHINE}


@pytest.mark.parametrize(("preset", "name", "title"), PAIRS)
def test_the_page_says_of_each_pair_what_compiling_does(preset: str, name: str, title: str) -> None:
    config = load_config(preset, "")
    table = PAGE.read_text(encoding="utf-8").partition("| preset | ")[2].splitlines()
    head = re.split(r" \| ", table[0].rstrip(" |"))
    column = next(at for at, words in enumerate(head) if words.startswith(title)) + 1
    (row,) = [line for line in table[:40] if line.startswith(f"| {preset} | ")][:1]
    cell = row.strip("| ").split(" | ")[column]
    try:
        refuse_misfit(config, load_profile(name))
    except ParameterError:
        assert cell == "refused"
    else:
        most = max((one.memory_gib for one in estimates_on(config, load_profile(name))), default=0)
        assert cell.startswith(f"{most:.0f} GiB" if most else "fits")
        assert (cell == "fits") == (preset in EMBEDDED)


def test_the_page_says_what_each_refusal_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert costs_page(page) == page
    for preset, kind in MISFITS:
        with pytest.raises(ParameterError) as caught:
            refuse_misfit(load_config(preset, ""), profile(gpu_kind=kind))
        said = str(caught.value).partition("by estimate ")[2].rpartition("; or choose")[0]
        (row,) = [line for line in page.splitlines() if said in line and preset in line]
        assert row


def test_a_gpu_that_is_too_small_is_said_to_be() -> None:
    config = load_config("llama2-13b", "")
    assert "does not fit" in summary_line(config, "l4")
    assert not all(one.fits for one in estimates(config, GPUS["l4"]))


def test_every_preset_but_the_embedded_ones_has_an_estimate_marked_as_one() -> None:
    for name in preset_names():
        for kind in GPUS:
            line = summary_line(load_config(name, ""), kind)
            assert ("an estimate, not measured" in line) == (name not in EMBEDDED), name
        assert unknown_lines(load_config(name, "")) == []


def test_a_base_is_inherited() -> None:
    base, own = load_config("default", ""), load_config("mistral-7b", "")
    assert own.stages == base.stages | {"check_inputs": {"packaged_tasks": False}}
    assert own.parameters["engine"] == "vllm"


def test_the_dry_run_lists_the_estimates() -> None:
    config = load_config("llama3.2-1b", "")
    text = dry_run_text(config, config, Path("runs/x"))
    head = next(line for line in text.splitlines() if line.startswith("task"))
    assert head.split()[:5] == ["task", "model", "calls", "l4", "h"]
    assert text.splitlines()[-1].startswith("in all on h100: at most ")
