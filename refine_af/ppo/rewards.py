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
    scores = [score.total - truncation_penalty * (act.finish == "length") for score, act in pairs]
    return torch.tensor(scores, dtype=torch.float32)


def against_siblings(scores: Tensor, episodes_per_prompt: int) -> Tensor:
    """Return each score less the mean of the other episodes of its prompt, [B].

    Without siblings the scores come back as they are. The baseline does not depend on the
    episode's own action, so the policy gradient stays unbiased; what is left is how good an
    action is for its prompt, not how easy the prompt is.

    Args:
        scores: [B]; the episodes of one prompt stand together.
        episodes_per_prompt: Divides B.

    Source: Ahmadian et al. 2024 (arXiv 2402.14740), equation 6 (REINFORCE leave-one-out).
    """
    if episodes_per_prompt == 1:
        return scores
    groups = scores.view(-1, episodes_per_prompt)
    others = (groups.sum(1, keepdim=True) - groups) / (episodes_per_prompt - 1)
    return (groups - others).flatten()


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
