"""A killed run continues and ends in the bytes of an uninterrupted one."""

import json
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_sft import material, save_random_model

from refine_af.contracts.progress import StageProgress
from refine_af.sft.params import SFTParams
from refine_af.sft.run import Outcome, fine_tune
from refine_af.storage.journal import MemoryJournal

HERE = Path(__file__).parent
SETTINGS: dict[str, Any] = {
    "max_steps": 9,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "learning_rate": 0.01,
    "warmup_ratio": 0.3,
    "lora_rank": 4,
    "lora_dropout": 0.3,  # draws from the generators in every step
    "max_length": 256,
    "checkpoint_steps": 2,
    "model": "test/random",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("model"))


def run_processes(
    model: Path, work: Path, runs: list[tuple[dict[str, Any], str, int, str]]
) -> list[dict[str, Any]]:
    script = [sys.executable, str(HERE / "killed_sft.py"), str(model), str(work)]
    done = subprocess.run(
        [*script, json.dumps(runs)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{HERE}:{HERE.parent.parent}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line.startswith("{")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_runs_end_in_the_same_bytes(model: Path, tmp_path: Path) -> None:
    # Killed before any checkpoint, between two, while one is published, and behind another.
    kills = [("step", 0), ("step", 4), ("publish", 1), ("step", 2)]
    full = SETTINGS | {"method": "full"}
    runs = [
        (SETTINGS, "none", 0, "whole"),
        *((SETTINGS, event, passes, "cut") for event, passes in kills),
        (SETTINGS, "none", 0, "cut"),
        (full, "none", 0, "full-whole"),
        (full, "step", 4, "full-cut"),
        (full, "none", 0, "full-cut"),
    ]
    found = run_processes(model, tmp_path, runs)
    killed = [place for place, one in enumerate(runs) if one[1] != "none"]
    exits = [-signal.SIGKILL if place in killed else 0 for place in range(len(runs))]
    assert [one["exit"] for one in found] == exits
    # Each try starts behind the newest whole checkpoint of those before it.
    steps = [one["steps"] for one in found]
    assert steps[1:6] == [[1], [1, 2, 3, 4, 5], [5, 6, 7, 8], [7, 8, 9], [9]]
    assert steps[7:] == [[1, 2, 3, 4, 5], [5, 6, 7, 8, 9]]
    for prefix in ("", "full-"):
        cut, uncut = tmp_path / f"{prefix}cut", tmp_path / f"{prefix}whole"
        assert contents(cut / "adapter") == contents(uncut / "adapter")
        assert (cut / "history.json").read_text() == (uncut / "history.json").read_text()


def run_here(
    model: Path,
    journal: MemoryJournal,
    **changes: Any,  # noqa: ANN401
) -> tuple[Outcome, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        outcome = fine_tune(
            material(),
            SFTParams(**SETTINGS | changes),
            str(model),
            Path(folder, "adapter"),
            journal=journal,
            progress=StageProgress("train_sft"),
            scratch=scratch,
        )
        return outcome, contents(Path(folder, "adapter"))


def test_a_run_killed_behind_its_last_step_trains_no_further(model: Path) -> None:
    journal = MemoryJournal()
    first, weights = run_here(model, journal)
    again, same = run_here(model, journal)
    assert same == weights
    assert again.history == first.history
    assert again.metrics == first.metrics


def test_two_checkpoints_are_kept_and_none_holds_a_pickle(model: Path, tmp_path: Path) -> None:
    journal = MemoryJournal()
    run_here(model, journal)
    assert journal.names() == ["checkpoint-000008", "checkpoint-000009"]
    assert journal.read_directory("checkpoint-000008", tmp_path / "kept")
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json", ".safetensors"}


def test_no_pickle_is_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal()
    run_here(model, journal)
    journal.discard("checkpoint-000009")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    outcome, _ = run_here(model, journal)
    assert len(outcome.history) == 9


def test_without_checkpoints_nothing_is_published(model: Path) -> None:
    journal = MemoryJournal()
    outcome, _ = run_here(model, journal, checkpoint_steps=0)
    assert journal.names() == []
    assert len(outcome.history) == 9
