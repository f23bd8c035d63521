"""Checkpoints in the journal: published atomically, resumed bit for bit, without pickles.

A checkpoint is a directory ``checkpoint-NNNNNN`` of the journal. The trainer writes weights and
its own record (``trainer_state.json``) but no optimizer (``save_only_model``), because its files
for optimizer, schedule and generators are pickles. These three are written
here as safetensors and JSON and put back by the callback at the two moments that matter: optimizer
and schedule before the first step, generators right before its forward pass.
"""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from refine_af.contracts.stage import Journal, Progress
from refine_af.sft.portable_state import load_state, save_state

PREFIX = "checkpoint-"
KEPT = 2
"""Checkpoints kept: the newest, and the one before it in case storage damaged the newest."""

_STATES = ("optimizer", "schedule", "generators")
_WEIGHTS = ("adapter_model.safetensors", "adapter_config.json", "trainer_state.json")


def newest_checkpoint(journal: Journal, scratch: Path, progress: Progress) -> Path | None:
    """Return a local copy of the newest whole checkpoint; None when there is none."""
    for name in reversed(journal.names(PREFIX)):
        target = scratch / name
        if journal.read_directory(name, target):
            return target
        progress.say(f"{name} is damaged; continuing from the previous one")
        shutil.rmtree(target, ignore_errors=True)
    return None


class CheckpointCallback(TrainerCallback):
    """Publishes what the trainer saves, and puts back what a checkpoint holds."""

    def __init__(self, journal: Journal, resumed: Path | None) -> None:
        """Publish to ``journal``; continue from the local checkpoint ``resumed`` if given."""
        self._journal = journal
        self._resumed = resumed
        self._generators: dict[str, Any] | None = None

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Publish the checkpoint that the trainer has just written, then discard old ones."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for path in folder.iterdir():
            # training_args.bin is a pickle; tokenizer and page are the base model's.
            if path.name not in _WEIGHTS and not path.name.startswith(("model", "config.json")):
                path.unlink()
        save_state(kwargs["optimizer"].state_dict(), folder, "optimizer")
        save_state(kwargs["lr_scheduler"].state_dict(), folder, "schedule")
        save_state(_generator_states(), folder, "generators")
        self._journal.publish_directory(f"{PREFIX}{state.global_step:06d}", folder)
        shutil.rmtree(folder)
        for name in self._journal.names(PREFIX)[:-KEPT]:
            self._journal.discard(name)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Put optimizer and schedule back."""
        if self._resumed is None:
            return
        kwargs["optimizer"].load_state_dict(load_state(self._resumed, "optimizer"))
        kwargs["lr_scheduler"].load_state_dict(load_state(self._resumed, "schedule"))
        self._generators = load_state(self._resumed, "generators")

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Put the generators back, after whatever drew from them while training was set up."""
        if self._generators is not None:
            _restore_generators(self._generators)
            self._generators = None


def _generator_states() -> dict[str, Any]:
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.random.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_generators(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.random.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
