"""The operator policy: two small networks, one for the choice and one for its value."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Judgement(NamedTuple):
    """Of B states: log-probabilities of the A operators, shape (B, A), and values, shape (B,)."""

    log_probs: Tensor
    values: Tensor


class OperatorNetwork(nn.Module):
    """A categorical policy over A operators and a value, each with two hidden layers of its own.

    The policy's last layer starts near zero, so that the first choices are uniform.
    """

    def __init__(self, width: int, operators: int, hidden: int, seed: int) -> None:
        """Start from random weights that depend on ``seed`` alone."""
        super().__init__()
        source = torch.Generator().manual_seed(seed % (1 << 63))
        self.policy = _layers(width, hidden, operators, 0.01, source)
        self.value = _layers(width, hidden, 1, 1.0, source)

    def forward(self, states: Tensor) -> Judgement:
        """Judge states, shape (B, width)."""
        return Judgement(self.policy(states).log_softmax(-1), self.value(states).squeeze(-1))


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy in nats of each row of log-probabilities."""
    return -(log_probs.exp() * log_probs).sum(-1)


def _layers(
    width: int, hidden: int, out: int, gain: float, source: torch.Generator
) -> nn.Sequential:
    sizes = [(width, hidden, 2**0.5), (hidden, hidden, 2**0.5), (hidden, out, gain)]
    layers: list[nn.Module] = []
    for read, written, scale in sizes:
        linear = nn.Linear(read, written)
        nn.init.orthogonal_(linear.weight, scale, generator=source)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])
