"""What presets ask their stages for is in the locks of the images that the stages run in."""

import re
from pathlib import Path
from typing import Any

import pytest

from refine_af.pipelines.bounds import resolved
from refine_af.pipelines.config import load_config, preset_names
from refine_af.runner import find_stage
from refine_af.stages import STAGES

LOCKS = Path(__file__).parents[2] / "images" / "locks"
LOCK_OF_BASE = {"core": "core", "vllm": "vllm-gpu", "train": "train-gpu"}


def locked(name: str) -> set[str]:
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9][\w.-]*)==", text, re.MULTILINE))


def needs(values: dict[str, Any]) -> set[str]:
    """Return the distributions that these parameters of a stage need on a GPU."""
    found: set[str] = set()
    if values.get("quantization") == "nf4" or values.get("method") == "qlora":
        found.add("bitsandbytes")
    if values.get("engine") == "vllm" or values.get("rollout") == "vllm":
        found.add("vllm")
    if values.get("engine") == "openai":
        found.add("aiohttp")
    return found


def test_the_locks_are_those_of_the_images_for_gpus() -> None:
    script = (LOCKS.parent / "build.py").read_text(encoding="utf-8")
    assert str(LOCK_OF_BASE).replace("'", '"') in script


def test_13b_is_among_those_that_need_four_bit_weights() -> None:
    assert needs(resolved(load_config("llama2-13b", ""), find_stage("train_ppo"))) == {
        "bitsandbytes"
    }


@pytest.mark.parametrize("preset", preset_names())
def test_every_image_holds_what_a_preset_asks_its_stage_for(preset: str) -> None:
    config = load_config(preset, "")
    for stage in STAGES:
        if not stage.resources.gpu:
            continue
        lock = LOCK_OF_BASE[stage.image]
        missing = needs(resolved(config, stage)) - locked(lock)
        assert not missing, f"{stage.name} of {preset} needs {missing}; {lock}.txt has none"


@pytest.mark.parametrize(
    "values", [{"quantization": "nf4"}, {"method": "qlora"}, {"rollout": "vllm"}]
)
def test_what_the_training_stages_offer_is_in_their_image(values: dict[str, str]) -> None:
    for name in ("train_ppo", "train_sft"):
        stage = find_stage(name)
        if set(values) <= set(stage.params.model_fields):
            assert needs(values) <= locked(LOCK_OF_BASE[stage.image])


def test_four_bit_weights_come_with_hashes() -> None:
    text = (LOCKS / "train-gpu.txt").read_text(encoding="utf-8")
    entry = text.split("\nbitsandbytes==")[1].split("\n\n")[0]
    assert entry.splitlines()[1].strip().startswith("--hash=sha256:")
