"""Generalised advantage estimation and whitening, over real tokens only.

Shapes: all tensors are [B, A] float; ``mask`` is [B, A] bool, true at the tokens of the action,
which fill the last columns of each row.
"""

import torch
from torch import Tensor

VARIANCE_FLOOR = 1e-8
"""Added to the variance before its root, so that equal advantages become 0 and not NaN."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean where the mask is true, a scalar; the mask must have a true position."""
    return torch.where(mask, values, 0.0).sum() / mask.sum()


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """Return the population variance (divided by n) where the mask is true, a scalar."""
    return masked_mean((values - masked_mean(values, mask)) ** 2, mask)


def estimate_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, both 0 at padding.

    ``delta_t = r_t + gamma V_{t+1} - V_t``, ``A_t = delta_t + gamma lam A_{t+1}``, the return is
    ``A_t + V_t``. The value after the last token is 0: the end of an episode is terminal, also of
    one that was cut off (its cost is ``truncation_penalty``).

    Source: Schulman et al. 2016 (arXiv 1506.02438), equations 11, 12 and 16.
    """
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    after = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + gamma * after - values
    advantages = torch.zeros_like(deltas)
    carried = torch.zeros_like(deltas[:, 0])
    for column in reversed(range(deltas.shape[1])):
        carried = deltas[:, column] + gamma * lam * carried
        advantages[:, column] = carried
    advantages = torch.where(mask, advantages, 0.0)
    return advantages, torch.where(mask, advantages + values, 0.0)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Return values shifted and scaled to mean 0 and variance 1 over real tokens; 0 at padding."""
    std = (masked_variance(values, mask) + VARIANCE_FLOOR).sqrt()
    return torch.where(mask, (values - masked_mean(values, mask)) / std, 0.0)
