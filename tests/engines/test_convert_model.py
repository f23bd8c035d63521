import json
import pickle
from pathlib import Path

import pytest
import torch
from tiny_engine import random_llama
from transformers import AutoModelForCausalLM

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.convert import convert_model


def pickled(folder: Path, shards: int) -> dict[str, torch.Tensor]:
    """Write a model as torch's pickles, as older ones lie on the Hub."""
    model = random_llama()
    model.config.save_pretrained(folder)
    weights = dict(model.state_dict())
    if shards == 1:
        torch.save(weights, folder / "pytorch_model.bin")
        return weights
    names = sorted(weights)
    parts = [names[part::shards] for part in range(shards)]
    places: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        name = f"pytorch_model-{number:05d}-of-{shards:05d}.bin"
        torch.save({one: weights[one] for one in part}, folder / name)
        places |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    return weights


@pytest.mark.parametrize("shards", [1, 3])
def test_the_converted_model_has_the_same_weights(tmp_path: Path, shards: int) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    source.mkdir()
    weights = pickled(source, shards)
    (source / "modeling_evil.py").write_text("raise SystemExit")
    assert convert_model(str(source), target) == len(weights)
    assert not any(path.suffix in (".bin", ".py") for path in target.iterdir())
    loaded = AutoModelForCausalLM.from_pretrained(target, use_safetensors=True).state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_tied_weights_are_written(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    shared = torch.ones(3, 4)
    torch.save({"a": shared, "b": shared}, tmp_path / "old" / "pytorch_model.bin")
    assert convert_model(str(tmp_path / "old"), tmp_path / "new") == 2


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


def test_a_pickle_with_code_is_refused_and_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    with (tmp_path / "old" / "pytorch_model.bin").open("wb") as file:
        pickle.dump(_Code(), file)
    with pytest.raises(DataError, match="more than tensors"):
        convert_model(str(tmp_path / "old"), tmp_path / "new")
    torch.save({"a": torch.ones(2), "b": _Code()}, tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(DataError, match="more than tensors"):
        convert_model(str(tmp_path / "old"), tmp_path / "other")
    assert "code ran" not in capsys.readouterr().out


def test_what_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    source.mkdir()
    with pytest.raises(DataError, match="nothing is to be converted"):
        convert_model(str(source), target)
    outside = {"weight_map": {"a": "../elsewhere.bin"}}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(outside))
    with pytest.raises(DataError, match="which is not there"):
        convert_model(str(source), target)
    target.mkdir(exist_ok=True)
    (target / "mine.txt").write_text("x")
    with pytest.raises(ParameterError, match="not empty"):
        convert_model(str(source), target)


def test_the_command(tmp_path: Path) -> None:
    from refine_af.cli import main

    source = tmp_path / "old"
    source.mkdir()
    pickled(source, 1)
    assert main(["convert-model", str(source), str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "model.safetensors").is_file()
