"""Trains operator policies with several policy seeds, from episodes or from recorded steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_af.contracts.errors import DataError
from refine_af.contracts.randomness import derive
from refine_af.contracts.records import OperatorStep
from refine_af.evolve.learner import Learner
from refine_af.evolve.params import PolicyParams
from refine_af.evolve.state import State, Vectors, encode
from refine_af.evolve.update import Rollout

Embed = Callable[[Sequence[str]], Vectors]


class Play(Protocol):
    """Where rollouts come from: episodes with a language model, or the rows of earlier ones."""

    def __call__(
        self, phase: str, policy_seed: int, update: int, learner: Learner
    ) -> list[OperatorStep]:
        """Return the steps of one rollout (``train``) or of one test (``held_out``)."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is trained.

    Attributes:
        operators: Number of operators.
        stop: Whether ending an episode is a choice.
        dimension: Of the embeddings.
        seed: Of the run.
        policy_seeds: Policies trained independently.
        evaluate_every: Updates between tests on held-out seeds; the start and the end are tested
            always. 0: no tests; the last policy of the last seed is taken.
    """

    operators: int
    stop: bool
    dimension: int
    seed: int
    policy_seeds: int
    evaluate_every: int


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of training.

    Attributes:
        learner: With the weights of the chosen policy.
        policy_seed: Its number.
        update: Updates it had.
        curve: One row per update and per test, in order.
        held_out: Mean reward of the chosen policy on held-out seeds; None without tests.
    """

    learner: Learner
    policy_seed: int
    update: int
    curve: list[dict[str, Any]]
    held_out: float | None


@dataclass(slots=True)
class _Best:
    score: float = float("-inf")
    weights: Mapping[str, Tensor] | None = None
    policy_seed: int = 0
    update: int = 0


def train(
    play: Play,
    embed: Embed,
    settings: PolicyParams,
    plan: TrainingPlan,
    on_update: Callable[[int, int, Mapping[str, float]], None],
) -> Trained:
    """Train every policy and choose the one with the best mean reward on held-out seeds.

    A policy below the entropy floor is chosen only if there is none above it: a policy that
    always does the same makes no diverse set, whatever its reward.

    Args:
        play: Source of the rollouts.
        embed: Of the instructions; must be the one that the rollouts were made with.
        settings: Of the updates.
        plan: How many, and how they are tested.
        on_update: Called with (updates done, updates in all, numbers).
    """
    curve: list[dict[str, Any]] = []
    best, collapsed = _Best(), _Best()
    learner = _learner(settings, plan, 0)
    total = plan.policy_seeds * settings.updates
    for policy_seed in range(plan.policy_seeds):
        learner = _learner(settings, plan, policy_seed)
        for update in range(settings.updates + 1):
            if _tested(update, settings, plan):
                row = _test(play, policy_seed, update, learner, settings, plan, embed)
                curve.append(row)
                kept = best if row["entropy"] >= settings.min_entropy else collapsed
                _keep(kept, row, learner)
            if update < settings.updates:
                steps = play("train", policy_seed, update, learner)
                rollout = as_rollout(steps, embed, settings, plan)
                numbers = learner.improve(rollout, update)
                curve.append(_row("train", policy_seed, update, steps, plan) | numbers)
                on_update(policy_seed * settings.updates + update + 1, total, numbers)
    return _chosen(best if best.weights is not None else collapsed, learner, settings, plan, curve)


def as_rollout(
    steps: Sequence[OperatorStep], embed: Embed, settings: PolicyParams, plan: TrainingPlan
) -> Rollout:
    """Return rows of one rollout as tensors; episodes in order, padded at their ends.

    Raises:
        DataError: When there are no rows, or the steps of an episode do not follow each other.
    """
    if not steps:
        raise DataError("a rollout holds no step; the rollouts belong to another configuration")
    episodes: dict[int, list[OperatorStep]] = {}
    for row in steps:
        episodes.setdefault(row.episode, []).append(row)
    longest = max(len(rows) for rows in episodes.values())
    seen = seen_by_policy(steps, embed, plan.operators, settings.steps, text=settings.text)
    index_of = {row.id: index for index, row in enumerate(steps)}
    shape = (len(episodes), longest)
    states = torch.zeros((*shape, seen.shape[1]))
    actions = torch.zeros(shape, dtype=torch.int64)
    log_probs, rewards = torch.zeros(shape), torch.zeros(shape)
    real = torch.zeros(shape, dtype=torch.bool)
    for line, number in enumerate(sorted(episodes)):
        for step, row in enumerate(sorted(episodes[number], key=lambda row: row.step)):
            if row.step != step:
                raise DataError(f"rollout row {row.id}: step {row.step} follows step {step - 1}")
            states[line, step] = torch.from_numpy(seen[index_of[row.id]])
            actions[line, step], real[line, step] = row.action, True
            log_probs[line, step], rewards[line, step] = row.log_prob, row.reward
    return Rollout(states, actions, log_probs, rewards, real)


def seen_by_policy(
    steps: Sequence[OperatorStep], embed: Embed, operators: int, length: int, *, text: bool
) -> NDArray[np.float32]:
    """Return what the policy saw at each row, shape (rows, width)."""
    states = [State(row.last, row.step, row.words_ratio, row.similarity) for row in steps]
    vectors = embed([row.before for row in steps])
    return encode(states, vectors, operators, length, text=text)


def _learner(settings: PolicyParams, plan: TrainingPlan, policy_seed: int) -> Learner:
    seed = derive(plan.seed, "operator-policy-seed", policy_seed)
    return Learner(plan.dimension, plan.operators, settings, seed, stop=plan.stop)


def _tested(update: int, settings: PolicyParams, plan: TrainingPlan) -> bool:
    if not plan.evaluate_every:
        return False
    return update % plan.evaluate_every == 0 or update == settings.updates


def _test(
    play: Play,
    policy_seed: int,
    update: int,
    learner: Learner,
    settings: PolicyParams,
    plan: TrainingPlan,
    embed: Embed,
) -> dict[str, Any]:
    steps = play("held_out", policy_seed, update, learner)
    if not steps:
        raise DataError(f"no held-out rows of policy {policy_seed} at update {update}")
    seen = seen_by_policy(steps, embed, plan.operators, settings.steps, text=settings.text)
    shares = learner.probabilities(seen)
    terms = np.where(shares > 0, shares * np.log(np.maximum(shares, 1e-300)), 0.0)
    spread = float(-terms.sum(1).mean())
    reward = sum(row.reward for row in steps) / len(steps)
    return _row("held_out", policy_seed, update, steps, plan) | {
        "reward": reward,
        "entropy": spread,
    }


def _row(
    phase: str, policy_seed: int, update: int, steps: Sequence[OperatorStep], plan: TrainingPlan
) -> dict[str, Any]:
    counts = [0] * (plan.operators + 1)
    for row in steps:
        counts[row.action] += 1
    return {
        "phase": phase,
        "policy_seed": policy_seed,
        "update": update,
        "steps": len(steps),
        "kept": sum(row.status == "kept" for row in steps) / len(steps),
        "valid": sum(bool(row.parts.get("valid")) for row in steps) / len(steps),
        "chosen": [count / len(steps) for count in counts],
    }


def _keep(best: _Best, row: Mapping[str, Any], learner: Learner) -> None:
    if row["reward"] > best.score:
        best.score, best.policy_seed, best.update = (
            row["reward"],
            row["policy_seed"],
            row["update"],
        )
        best.weights = {
            name: tensor.detach().clone() for name, tensor in learner.network.state_dict().items()
        }


def _chosen(
    best: _Best,
    learner: Learner,
    settings: PolicyParams,
    plan: TrainingPlan,
    curve: list[dict[str, Any]],
) -> Trained:
    if best.weights is None:
        return Trained(learner, plan.policy_seeds - 1, settings.updates, curve, None)
    chosen = _learner(settings, plan, best.policy_seed)
    chosen.network.load_state_dict(dict(best.weights))
    return Trained(chosen, best.policy_seed, best.update, curve, best.score)
