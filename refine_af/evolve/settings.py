"""What shapes the training of an operator policy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """PPO on a categorical head, in plain torch.

    Attributes:
        updates: Rollouts, each with its optimisation.
        episodes: Episodes of one rollout; each starts from a seed of its own draw.
        steps: Most operators applied in one episode.
        epochs: Passes over the steps of a rollout.
        minibatch: Steps of one optimiser step.
        learning_rate: Of Adam, for policy and value alike.
        clip: Epsilon of the policy objective (PPO, arXiv 1707.06347, equation 7).
        gamma: Discount. Zero, because the reward of a rewrite is known at once: at 0.9 the sum over
            later steps drowned it in noise (0.74 against 0.84 after ten updates in the first
            environment of ``benchmarks/operator_policy.py``).
        lam: Lambda of generalised advantage estimation.
        value_coefficient: Weight of the squared error of the value.
        entropy_coefficient: Weight of the entropy, nats.
        min_entropy: Floor of the mean entropy, nats: an update ends before it falls below. Where a
            rollout is below all the same, the coefficient doubles after every update (and halves
            back above it). No policy below it is chosen as the best.
        max_kl: Passes of an update end when the policy has moved this far, nats per step.
        max_grad_norm: Largest gradient norm of a step.
        hidden: Width of the two hidden layers.
        text: Whether the policy sees the instruction; False leaves it the last operator and the
            numbers, which is all that the released code of TeaMs-RL has.
    """

    updates: int = 20
    episodes: int = 32
    steps: int = 6
    epochs: int = 6
    minibatch: int = 48
    learning_rate: float = 0.01
    clip: float = 0.2
    gamma: float = 0.0
    lam: float = 0.95
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.005
    min_entropy: float = 0.8
    max_kl: float = 1.0
    max_grad_norm: float = 1.0
    hidden: int = 64
    text: bool = True
