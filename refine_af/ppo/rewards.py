"""From one score per episode to a reward per token."""

from collections.abc import Sequence

import torch
from torch import Tensor

from refine_af.ppo.episodes import Feedback
from refine_af.ppo.rollout import Action


def episode_scores(
    feedback: Sequence[Feedback], actions: Sequence[Action], truncation_penalty: float
) -> Tensor:
    """Return the score of each episode, [B] float32: its total, less the penalty when cut off."""
    pairs = zip(feedback, actions, strict=True)
    scores = [one.total - truncation_penalty * (act.finish == "length") for one, act in pairs]
    return torch.tensor(scores, dtype=torch.float32)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """Return the reward of each token: ``-coefficient kl_t``, and the score on the last one.

    Args:
        scores: [B].
        kl: Per-token KL estimate (k1), [B, A].
        mask: True at real tokens, [B, A]; the last column is the last token of every episode.
        coefficient: Price of a nat.

    Source: Ziegler et al. 2019 (arXiv 1909.08593), equation 2, spread over the tokens.
    """
    rewards = torch.where(mask, -coefficient * kl, 0.0)
    rewards[:, -1] += scores
    return rewards
