"""Rollouts by the trained model itself, through the transformers decoding of ``engines``."""

from collections.abc import Sequence
from typing import Any

import torch

from refine_af.engines.decode import decode
from refine_af.engines.memory import RowsAtOnce
from refine_af.engines.text import Sampling
from refine_af.ppo.params import PPOParams
from refine_af.ppo.passes import LOWER
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action


class TransformersRollout:
    """Acts with the trained model itself."""

    def __init__(self, tokenizer: Any, settings: PPOParams) -> None:  # noqa: ANN401
        """Decode ``rollout_batch`` episodes at a time, fewer where memory runs out."""
        self._tokenizer = tokenizer
        self._passes = RowsAtOnce(settings.rollout_batch, task="train_ppo: rollout", lower=LOWER)
        self._sampling = Sampling(
            max_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            stop=settings.stop,
        )

    @torch.no_grad()
    def act(
        self, policy: Policy, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Action]:
        """Return one action per prompt; prompts of like length share a batch."""
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        actions: dict[int, Action] = {}

        def write(rows: Sequence[int]) -> None:
            with policy.autocast():
                decoded = decode(
                    policy.model,
                    self._tokenizer,
                    [prompts[row] for row in rows],
                    [seeds[row] for row in rows],
                    self._sampling,
                )
            for row, action in zip(rows, decoded, strict=True):
                actions[row] = Action(tuple(action.tokens), action.finish)

        self._passes.run(order, write)
        return [actions[row] for row in range(len(prompts))]
