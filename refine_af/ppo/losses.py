"""The losses of PPO, per token: [B, A] float in, [B, A] float out.

They are summed and divided by the step's real tokens in ``update``, so that a step gives the same
gradient however it is split into forward passes. Log-probabilities are in nats.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return ``-min(r A, clamp(r, 1 - clip, 1 + clip) A)`` with ``r = exp(new - old)``.

    Args:
        new: Log-probabilities of the taken tokens under the policy that is trained.
        old: The same under the policy that acted, without gradient.
        advantages: Of the taken tokens.
        clip: Epsilon.

    Source: Schulman et al. 2017 (arXiv 1707.06347), equation 7, with the sign of a loss.
    """
    ratio = (new - old).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def importance_weights(trained: Tensor, acted: Tensor, cap: float) -> Tensor:
    """Return ``min(exp(trained - acted), cap)`` per token: how much an action counts.

    An engine with kernels or a precision of its own samples from a distribution that is not quite
    the trained policy's. The weight corrects the policy loss for that; the cap bounds the variance
    that rare tokens would bring, at the price of a small bias.

    Args:
        trained: Log-probabilities of the taken tokens under the policy, as the trainer reads them.
        acted: The same under the same policy, as the engine that acted computed them.
        cap: Largest weight; 0 leaves all weights at 1.

    Source: Ionides 2008 (truncated importance sampling, doi 10.1198/106186008X320456); Espeholt et
    al. 2018 (arXiv 1802.01561), section 4.1, for an actor that lags behind its learner.
    """
    if cap == 0:
        return torch.ones_like(trained)
    return (trained - acted).exp().clamp(max=cap)


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Return ``0.5 max((V - R)^2, (V_clipped - R)^2)``, V clipped to ``clip`` around the old one.

    A clip of 0 leaves the plain half square.

    Source: OpenAI baselines' ppo2; not in the paper. It keeps the larger of the two errors, so a
    value that has already moved far is not pushed further.
    """
    error = (new - returns) ** 2
    if clip == 0:
        return 0.5 * error
    near = old + (new - old).clamp(-clip, clip)
    return 0.5 * torch.maximum(error, (near - returns) ** 2)


def log_probabilities(logits: Tensor, taken: Tensor) -> Tensor:
    """Return log p of the taken tokens: logits [B, A, V], taken [B, A] -> [B, A].

    The memory of ``logits`` is overwritten: read everything else from them first.
    """
    log_probs: Tensor = _LogProbabilities.apply(logits, taken)  # type: ignore[no-untyped-call]
    return log_probs


class _LogProbabilities(torch.autograd.Function):
    """``z_taken - logsumexp(z)``, in the memory of the logits z.

    Autograd's own way makes five more tensors of [B, A, V] (exponentials, the gradients of their
    sum and of the gathered logit, the sum of those), the largest there are. The gradient is
    ``g (onehot(taken) - softmax(z))``.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, taken: Tensor) -> Tensor:
        chosen = logits.gather(-1, taken.unsqueeze(-1)).squeeze(-1)
        largest = logits.amax(-1, keepdim=True)
        # The layer that made the logits keeps its input, not them; autograd's version counter
        # reports the change to any other holder of the logits.
        exponentials = logits.sub_(largest).exp_()
        total = exponentials.sum(-1, keepdim=True)
        ctx.save_for_backward(exponentials, total, taken)
        return chosen - (largest + total.log()).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        exponentials, total, taken = ctx.saved_tensors
        wide = gradient.unsqueeze(-1)
        exponentials.mul_(-wide / total).scatter_add_(-1, taken.unsqueeze(-1), wide)
        return exponentials, None


def entropies(logits: Tensor) -> Tensor:
    """Return the entropy of each next-token distribution in nats: [B, A, V] -> [B, A]."""
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)
