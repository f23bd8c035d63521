"""The operator policy with its optimiser: chooses, learns, is stored and read again."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from refine_af.contracts.randomness import derive
from refine_af.evolve.network import OperatorNetwork, entropy
from refine_af.evolve.params import PolicyParams
from refine_af.evolve.state import width
from refine_af.evolve.update import Rollout, update

MOST_RAISED = 64.0
"""The entropy's weight is raised to at most this many times its setting."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of B states: the chosen operators, int64, and their log-probabilities, float32."""

    actions: NDArray[np.int64]
    log_probs: NDArray[np.float32]


class Learner:
    """A policy in training. The same seed and rollouts give the same weights."""

    def __init__(
        self,
        dimension: int,
        operators: int,
        settings: PolicyParams,
        seed: int,
        *,
        stop: bool = False,
    ) -> None:
        """Start from scratch.

        Args:
            dimension: Length of the text embeddings.
            operators: Operators to choose from.
            settings: Of the training.
            seed: Of the weights and of the order of the steps.
            stop: Whether one further choice, the last, ends an episode.
        """
        self._settings, self._seed, self.operators = settings, seed, operators
        self.network = OperatorNetwork(
            width(dimension, operators),
            operators + stop,
            settings.hidden,
            derive(seed, "operator-policy"),
        )
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self._raised = 1.0

    @torch.no_grad()
    def probabilities(self, states: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each operator, shape (B, A); rows sum to one."""
        probabilities: NDArray[np.float64] = (
            self.network(torch.from_numpy(states)).log_probs.double().exp().numpy()
        )
        probabilities /= probabilities.sum(1, keepdims=True)
        return probabilities

    def choose(self, states: NDArray[np.float32], draws: NDArray[np.float64]) -> Choice:
        """Draw one operator per state; ``draws`` are uniform in [0, 1), one per state."""
        shares = self.probabilities(states)
        actions = drawn(shares, draws)
        chosen = shares[np.arange(len(actions)), actions]
        return Choice(actions, np.log(chosen).astype(np.float32))

    def improve(self, rollout: Rollout, number: int) -> dict[str, float]:
        """Learn from a rollout of this policy; return the numbers of the update.

        Raises the weight of the entropy while the rollout's mean entropy is below the floor.
        """
        with torch.no_grad():
            judged = self.network(rollout.states[rollout.real])
            spread = float(entropy(judged.log_probs).mean())
        below = spread < self._settings.min_entropy
        self._raised = min(MOST_RAISED, 2 * self._raised) if below else max(1.0, self._raised / 2)
        weight = self._settings.entropy_coefficient * self._raised
        moved = update(
            self.network,
            self._optimizer,
            rollout,
            self._settings,
            weight,
            derive(self._seed, "operator-update", number),
        )
        reward = float(rollout.rewards[rollout.real].mean())
        return {"reward": reward, "entropy": spread, "entropy_weight": weight} | moved


def drawn(shares: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index in each row of ``shares`` that the uniform draw selects.

    An index of probability zero is never drawn, however the sums are rounded.
    """
    edges = shares.cumsum(1)
    edges /= edges[:, -1:]
    indices = (edges <= draws[:, None]).sum(1)
    return np.asarray(indices, dtype=np.int64)
