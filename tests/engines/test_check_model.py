"""Models of scorers are looked at before any GPU hour: in a folder, a bucket, on the Hub."""

import shutil
from pathlib import Path

import pytest
import torch
from tiny_engine import random_llama, save

from refine_af.cli import main
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.models import check_model, resolve_model


def broken(folder: Path, missing: str) -> Path:
    shutil.copytree(resolve_model("builtin:fixture"), folder)
    for path in folder.glob(missing):
        path.unlink()
    return folder


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer"),
        ("*.safetensors", "convert-model"),
    ],
)
def test_what_a_model_lacks_is_said(tmp_path: Path, missing: str, told: str) -> None:
    folder = broken(tmp_path / "model", missing)
    with pytest.raises(DataError, match=told):
        check_model(str(folder))


def test_whole_models_pass_and_other_addresses_do_not(tmp_path: Path) -> None:
    check_model("builtin:fixture")
    folder = save(tmp_path / "model", random_llama())
    check_model(folder)
    with pytest.raises(ParameterError):
        check_model("https://example.org/model")


def test_check_inputs_refuses_a_scorer_with_pickled_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = broken(tmp_path / "scorer", "*.safetensors")
    torch.save({"a": torch.ones(2)}, folder / "pytorch_model.bin")
    arguments = ["check-inputs", "--model=builtin:fixture", f"--outputs-dir={tmp_path / 'out'}"]
    code = main([*arguments, "--reward=reward_model", f"--reward-model={folder}"])
    assert code == 65
    assert "refine-af convert-model" in capsys.readouterr().err
    assert main([*arguments, "--reward=embedded"]) == 0
