"""The result of a PPO run, and the row of every episode."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from refine_af.ppo.episodes import Episode, Feedback
from refine_af.ppo.experience import Experience

SAMPLES = 8
"""Episodes shown of the first, the middle and the last update."""


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One episode of training: its prompt, its update and its reward.

    Attributes:
        update: From 1.
        place: Index of the episode in its update, from 0.
        prompt_id: Id of its prompt.
        action: Text.
        finish: ``stop`` or ``length``.
        tokens: Of the action.
        total: Of the reward.
        parts: Of the reward.
        parseable: Whether the action held a usable instance.
        kl: To the start model, nats (k1); None where the trainer does not report it (TRL).
        advantage: Mean over the action's tokens, as the policy loss used it (whitened if set).
        seed: Of the episode's sampling noise; None where one seed draws the whole run (TRL).
    """

    update: int
    place: int
    prompt_id: str
    action: str
    finish: str
    tokens: int
    total: float
    parts: dict[str, float]
    parseable: bool
    kl: float | None
    advantage: float
    seed: int | None


OnUpdate = Callable[[Mapping[str, float], Sequence[EpisodeRow]], None]
"""Called with numbers and episodes of every update, in order, also of those before a kill."""


@dataclass(frozen=True, slots=True)
class PPOResult:
    """The outcome of a run.

    Attributes:
        metrics: One row per update, see :mod:`refine_af.ppo.metrics`.
        samples: Episodes of the first, middle and last update.
        trained: The PEFT directory, or the model directory of full fine-tuning.
        stopped: Why training ended before its last update; empty when it did not.
        telemetry: Seconds of this process by phase, and tokens; they vary from run to run.
    """

    metrics: list[dict[str, float]]
    samples: list[EpisodeRow]
    trained: Path
    stopped: str
    telemetry: dict[str, float] = field(default_factory=dict)


def episode_rows(
    update: int,
    episodes: Sequence[Episode],
    feedback: Sequence[Feedback],
    experience: Experience,
    seeds: Sequence[int],
) -> list[EpisodeRow]:
    """Return one row per episode, in the order of the rollout."""
    outputs = experience.outputs
    counts = outputs.mask.sum(1)
    kl = torch.where(outputs.mask, outputs.logprobs - outputs.reference, 0.0).sum(1)
    advantage = torch.where(outputs.mask, experience.advantages, 0.0).sum(1) / counts
    return [
        EpisodeRow(
            update=update,
            place=index,
            prompt_id=episode.prompt_id,
            action=episode.action,
            finish=episode.finish,
            tokens=int(counts[index]),
            total=score.total,
            parts=score.parts,
            parseable=score.parseable,
            kl=kl[index].item(),
            advantage=advantage[index].item(),
            seed=seeds[index],
        )
        for index, (episode, score) in enumerate(zip(episodes, feedback, strict=True))
    ]


def dump_rows(rows: Iterable[EpisodeRow]) -> bytes:
    """Return rows as JSON Lines; text that is not valid Unicode cannot occur (see the action)."""
    lines = (json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def load_rows(data: bytes) -> list[EpisodeRow]:
    """Return the rows of :func:`dump_rows`."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in data.split(b"\n") if line]
    return [EpisodeRow(**values) for values in rows]
