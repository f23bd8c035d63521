"""Two real processes (gloo) against one: same numbers, same weights, same resume."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("two_processes.py")


def trained(folder: Path, count: int, **changes: Any) -> tuple[list[dict[str, float]], Path]:  # noqa: ANN401
    arguments = [sys.executable, str(SCRIPT), str(folder), str(count), json.dumps(changes)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "metrics.json").read_text()), folder / "trained"


def assert_equal(one: tuple[Any, Path], other: tuple[Any, Path]) -> None:
    assert len(one[0]) == len(other[0])
    for first, second in zip(one[0], other[0], strict=True):
        assert first == pytest.approx(second, abs=1e-5, rel=1e-5)
    files = [next(folder.glob("*.safetensors")) for folder in (one[1], other[1])]
    weights, wanted = (load_file(file) for file in files)
    assert weights.keys() == wanted.keys()
    for name, tensor in weights.items():
        assert (tensor - wanted[name]).abs().max() < 1e-5, name


@pytest.mark.parametrize("rank", [4, 0])
def test_two_processes_equal_one(tmp_path: Path, rank: int) -> None:
    # in double precision, as below: the two sum a gradient's rows in another order
    one = trained(tmp_path / "one", 1, lora_rank=rank, double=True)
    assert_equal(trained(tmp_path / "two", 2, lora_rank=rank, double=True), one)
    assert one[0][-1]["kl"] != 0


@pytest.mark.parametrize("rank", [4, 0])
def test_sharded_weights_equal_whole_ones(tmp_path: Path, rank: int) -> None:
    # in double precision: AdamW divides small gradients by their own size, and so their rounding
    one = trained(tmp_path / "one", 1, lora_rank=rank, double=True)
    assert_equal(trained(tmp_path / "two", 2, lora_rank=rank, double=True, sharded=True), one)


@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_go_on_from_a_checkpoint(tmp_path: Path, sharded: bool) -> None:
    whole = trained(tmp_path / "whole", 2, sharded=sharded)
    trained(tmp_path / "parts", 2, sharded=sharded, updates=2)
    assert_equal(trained(tmp_path / "parts", 2, sharded=sharded), whole)


def test_a_dead_helper_ends_the_run(tmp_path: Path) -> None:
    arguments = [sys.executable, str(SCRIPT), str(tmp_path), "2", "{}", "die"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "another rank of this run died" in done.stderr or "Connection" in done.stderr
    assert not (tmp_path / "metrics.json").exists()
