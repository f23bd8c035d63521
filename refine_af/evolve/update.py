"""One PPO update of the operator policy from one rollout.

Shapes: E episodes, T steps of the longest, N real steps of all episodes, F features, A operators.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_af.contracts.randomness import derive
from refine_af.evolve.network import OperatorNetwork, entropy
from refine_af.evolve.params import PolicyParams

FLOOR_MARGIN = 1.05
"""Updates end this much above the floor, because other seeds than the rollout's test the policy."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What was tried and what came of it; steps behind an episode's end are not ``real``.

    Attributes:
        states: Shape (E, T, F).
        actions: Index of the chosen operator, int64, shape (E, T).
        log_probs: Of the choice under the policy that made it, nats, shape (E, T).
        rewards: Shape (E, T).
        real: bool, shape (E, T); real steps come first in each row.
    """

    states: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    real: Tensor


def advantages(
    rewards: Tensor, values: Tensor, real: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, shape (E, T) each; zero behind an episode's end.

    Generalised advantage estimation (arXiv 1506.02438, equation 16). Every episode ends for good:
    nothing is expected after its last step, also where the step limit ended it, because the limit
    is part of the task and the policy sees how far it is.
    """
    gains = torch.zeros_like(rewards)
    following_value = torch.zeros(rewards.shape[0])
    following = torch.zeros(rewards.shape[0])
    for step in reversed(range(rewards.shape[1])):
        here = real[:, step].float()
        error = rewards[:, step] + gamma * following_value - values[:, step]
        following = (error + gamma * lam * following) * here
        following_value = values[:, step] * here
        gains[:, step] = following
    return gains, (gains + values) * real


def update(
    network: OperatorNetwork,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: PolicyParams,
    entropy_coefficient: float,
    seed: int,
) -> dict[str, float]:
    """Improve the policy in place; return ``kl``, ``clipped``, ``value_loss`` and ``passes``.

    ``kl`` is the mean of ``log p_old - log p_new + p_new / p_old - 1`` (never negative) after the
    last pass. Advantages are standardised over the rollout; equal ones become zero, not NaN.

    An optimiser step that takes the mean entropy of the rollout's states below the floor, or
    further below it, is undone and is the last one: a coefficient alone reacts after the collapse.
    """
    with torch.no_grad():
        values = network(rollout.states).values
        gains, returns = advantages(
            rollout.rewards, values, rollout.real, settings.gamma, settings.lam
        )
    data = _Steps.of(rollout, gains, returns)
    moved: dict[str, float] = {}
    for number in range(settings.epochs):
        source = torch.Generator().manual_seed(derive(seed, "operator-pass", number))
        order = torch.randperm(len(data.actions), generator=source)
        whole = _pass(network, optimizer, data, order, settings, entropy_coefficient)
        moved = _moved(network, data, settings) | {"passes": float(number + whole)}
        if not whole or moved["kl"] > settings.max_kl:
            break
    return moved


def _pass(
    network: OperatorNetwork,
    optimizer: torch.optim.Optimizer,
    data: "_Steps",
    order: Tensor,
    settings: PolicyParams,
    entropy_coefficient: float,
) -> bool:
    """Make one pass; return False when the floor of the entropy ended it."""
    floor = FLOOR_MARGIN * settings.min_entropy
    spread = _spread(network, data)
    for indices in torch.split(order, settings.minibatch):
        before, spread_before = deepcopy((network.state_dict(), optimizer.state_dict())), spread
        _step(network, optimizer, data.take(indices), settings, entropy_coefficient)
        spread = _spread(network, data)
        if spread < min(floor, spread_before):
            network.load_state_dict(before[0])
            optimizer.load_state_dict(before[1])
            return False
    return True


@torch.no_grad()
def _spread(network: OperatorNetwork, data: "_Steps") -> float:
    """Return the mean entropy, nats."""
    return float(entropy(network(data.states).log_probs).mean())


@dataclass(frozen=True, slots=True)
class _Steps:
    """The N real steps, flat."""

    states: Tensor
    actions: Tensor
    log_probs: Tensor
    gains: Tensor
    returns: Tensor

    @staticmethod
    def of(rollout: Rollout, gains: Tensor, returns: Tensor) -> "_Steps":
        real = rollout.real
        flat = gains[real]
        spread = flat.std(correction=0)
        standard = (flat - flat.mean()) / spread if float(spread) > 1e-8 else flat * 0.0
        return _Steps(
            rollout.states[real],
            rollout.actions[real],
            rollout.log_probs[real],
            standard,
            returns[real],
        )

    def take(self, indices: Tensor) -> "_Steps":
        return _Steps(
            self.states[indices],
            self.actions[indices],
            self.log_probs[indices],
            self.gains[indices],
            self.returns[indices],
        )


def _step(
    network: OperatorNetwork,
    optimizer: torch.optim.Optimizer,
    data: _Steps,
    settings: PolicyParams,
    entropy_coefficient: float,
) -> None:
    judged = network(data.states)
    chosen = judged.log_probs.gather(1, data.actions[:, None]).squeeze(1)
    ratio = (chosen - data.log_probs).exp()
    clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy = -torch.minimum(ratio * data.gains, clipped * data.gains).mean()
    value = (judged.values - data.returns).square().mean()
    loss = policy + settings.value_coefficient * value
    loss = loss - entropy_coefficient * entropy(judged.log_probs).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
    optimizer.step()


@torch.no_grad()
def _moved(network: OperatorNetwork, data: _Steps, settings: PolicyParams) -> dict[str, float]:
    judged = network(data.states)
    chosen = judged.log_probs.gather(1, data.actions[:, None]).squeeze(1)
    difference = chosen - data.log_probs
    ratio = difference.exp()
    return {
        "kl": float((ratio - 1 - difference).mean()),
        "clipped": float(((ratio - 1).abs() > settings.clip).float().mean()),
        "value_loss": float((judged.values - data.returns).square().mean()),
    }
