"""Trains the tiny model in so many processes: folder, count, settings in JSON, and "die"."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_ppo import PROMPTS, CentredShare, tiny_model, tiny_settings, tiny_tokenizer

from refine_af.contracts.progress import StageProgress
from refine_af.contracts.stage import Journal
from refine_af.ppo.policy import Policy
from refine_af.ppo.trainer import train
from refine_af.ppo.transformers_rollout import TransformersRollout
from refine_af.processes.group import Processes
from refine_af.processes.start import started
from refine_af.storage.entry import Identity
from refine_af.storage.journal import MemoryJournal, open_journal


def work(processes: Processes, folder: Path, changes: dict[str, Any], dies: bool) -> None:
    """Train as a helper."""
    if dies:
        os._exit(9)
    run(processes, MemoryJournal(), folder, changes)


def run(
    processes: Processes, journal: Journal, folder: Path, changes: dict[str, Any]
) -> list[dict[str, float]]:
    """Train; the same in every process."""
    torch.set_num_threads(1)
    changed = {name: value for name, value in changes.items() if name != "double"}
    settings = tiny_settings(**changed, processes=processes.count)
    tokenizer = tiny_tokenizer()
    policy = Policy(tiny_model(), settings, base_name="tiny")
    if changes.get("double"):
        policy = Policy(tiny_model().double(), settings, base_name="tiny").double()
    result = train(
        policy,
        tokenizer,
        PROMPTS,
        CentredShare(),
        settings,
        journal=journal,
        progress=StageProgress("train_ppo"),
        rollout=TransformersRollout(tokenizer, settings),
        output=folder / "trained",
        processes=processes,
    )
    return result.metrics


def main() -> None:
    """Train and write the numbers of each update."""
    folder, count, changes = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    identity = Identity(stage="train_ppo", params={}, inputs={}, code="test")
    with (
        open_journal(str(folder / "work"), identity) as journal,
        started(count, work, folder, changes, sys.argv[4:] == ["die"]) as processes,
    ):
        metrics = run(processes, journal, folder, changes)
    (folder / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
