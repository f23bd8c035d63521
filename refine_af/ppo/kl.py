"""KL divergence from the start model: estimators per token, and controllers of its price.

``new`` and ``reference`` are log-probabilities [B, A] of the same taken tokens, in nats, sampled
from the policy that ``new`` belongs to.
"""

from torch import Tensor

TARGET_ERROR = 0.2
"""Largest relative error that one adaptive step answers to."""


def k1(new: Tensor, reference: Tensor) -> Tensor:
    """Return ``log p - log q``: unbiased, may be negative; summed over an episode it is its KL.

    Source: Schulman, "Approximating KL divergence" (2020).
    """
    return new - reference


def k3(new: Tensor, reference: Tensor) -> Tensor:
    """Return ``q/p - 1 - log(q/p)``: unbiased, never negative, of lower variance; for reporting.

    Source: as :func:`k1`.
    """
    difference = reference - new
    return difference.exp() - 1 - difference


def next_coefficient(coefficient: float, kl: float, target: float, rate: float) -> float:
    """Return the KL coefficient of the next update.

    ``beta (1 + rate clamp(kl / target - 1, -0.2, 0.2))``; a target of 0 keeps beta as it is.

    Args:
        coefficient: Beta of this update.
        kl: Mean KL per episode of this update, in nats.
        target: KL per episode to be held.
        rate: K_beta.

    Source: Ziegler et al. 2019 (arXiv 1909.08593), section 2.2. TRL multiplies the step by
    episodes / horizon instead; here a step is an update, as in the paper.
    """
    if target == 0:
        return coefficient
    error = min(max(kl / target - 1, -TARGET_ERROR), TARGET_ERROR)
    return coefficient * (1 + rate * error)
