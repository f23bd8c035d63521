"""Model folders whose files do not fit: one line for people, and no weight is a random number."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="models need refine-af[train]")

from safetensors.torch import load_file, save_file

from refine_af.contracts.errors import DataError, MissingLibraryError
from refine_af.engines.models import load_model, resolve_model
from refine_af.engines.stopping import end_tokens
from refine_af.sft.base_model import load_trainable
from refine_af.sft.params import SFTParams

Change = Callable[[Path], None]


def config(**values: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def written(name: str, text: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def without(name: str) -> Change:
    """Take a tensor out of the weights."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        weights = load_file(path)
        del weights[next(key for key in weights if name in key)]
        save_file(weights, path, metadata={"format": "pt"})

    return change


ODD: dict[str, tuple[Change, str]] = {
    "text for a number": (config(hidden_size="abc"), "config.json"),
    "no heads": (config(num_attention_heads=0), "config.json"),
    "heads that do not divide": (config(num_attention_heads=5, head_dim=None), "config.json"),
    "a list for an object": (written("config.json", "[1]"), "config.json is list"),
    "null": (written("config.json", "null"), "config.json is NoneType"),
    "an unknown precision": (config(dtype="float3", torch_dtype="float3"), "float3"),
    "an unknown activation": (config(hidden_act="nope"), "nope"),
    "positions below 0": (config(max_position_embeddings=-5), "a whole number above 0"),
    "positions in words": (config(max_position_embeddings="x"), "a whole number above 0"),
    "more layers than its files": (config(num_hidden_layers=900), "config.json describes"),
    "wider than its files": (config(intermediate_size=500_000), "config.json describes"),
    "a huge width": (config(hidden_size=10**7), "at most 1000000 is built"),
    "a tokenizer that is a list": (written("tokenizer.json", "[]"), "transformers cannot read it"),
    "a missing weight": (without("down_proj"), "would be random numbers"),
    "more layers than weights": (config(num_hidden_layers=40), "would be random numbers"),
}


def odd(folder: Path, change: Change) -> Path:
    """Return a copy of the small model with one change."""
    source = resolve_model("builtin:fixture")
    copy = folder / "model"
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    change(copy)
    return copy


@pytest.mark.parametrize("kind", ODD)
def test_a_model_whose_files_do_not_fit_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    change, said = ODD[kind]
    folder = odd(tmp_path, change)
    with pytest.raises(DataError) as caught:
        load_model(str(folder))
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["no heads", "a missing weight", "more layers than weights"])
def test_fine_tuning_refuses_it_too(tmp_path: Path, kind: str) -> None:
    change, said = ODD[kind]
    with pytest.raises(DataError, match=said):
        load_trainable(str(odd(tmp_path, change)), SFTParams(max_length=64), "cpu")


@pytest.mark.parametrize("ends", ['"x"', "[1, null, 2.5]", "-1", "{}"])
def test_ends_that_are_no_ids_are_refused(tmp_path: Path, ends: str) -> None:
    change = written("generation_config.json", f'{{"eos_token_id": {ends}}}')
    with pytest.raises(DataError, match=r"eos_token_id|cannot read it as a causal LM"):
        end_tokens(*load_model(str(odd(tmp_path, change))))


def test_the_embedded_model_is_whole() -> None:
    load_model("builtin:fixture")


def test_a_library_that_the_configuration_asks_for_is_named_with_the_model(tmp_path: Path) -> None:
    packed = {"quant_method": "gptq", "bits": 4}
    folder = str(odd(tmp_path, config(quantization_config=packed)))
    with pytest.raises(MissingLibraryError, match="install that library, or name a model") as told:
        load_model(folder)
    assert folder in str(told.value)
