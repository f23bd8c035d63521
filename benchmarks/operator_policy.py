"""Does the operator policy learn what there is to learn? Two made environments, no language model.

``repeats``: six operators succeed with probability 0.95 down to 0.40, half as often when one
repeats the operator before it. ``kinds``: three kinds of seed texts, each with two good operators
of its own (0.95 and 0.80, the others 0.40), halved on repeats alike; the kind shows in nothing but
the text (real instructions about lists, sentences or single words). The best that a policy blind
to the text can reach there is 0.583.

Each line: mean reward per step over 1,024 fresh episodes of 6 steps, mean and standard deviation
over the seeds. ``python benchmarks/operator_policy.py --seeds 20``: about six minutes on one core.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from refine_af.builtin.examples import draw_instruction
from refine_af.builtin.skills import lists, sentences, word_facts
from refine_af.builtin.skills.registry import TRAINED
from refine_af.contracts.randomness import derive
from refine_af.dedup.static_vectors import DIMENSION, embed
from refine_af.evolve.learner import Learner
from refine_af.evolve.params import PolicyParams
from refine_af.evolve.state import State, encode
from refine_af.evolve.update import Rollout

OPERATORS = 6
GOOD_FIRST = (0.95, 0.80, 0.40, 0.40, 0.40, 0.40)
TABLES = {
    "repeats": ((0.95, 0.80, 0.70, 0.60, 0.50, 0.40),),
    "kinds": tuple(tuple(np.roll(GOOD_FIRST, 2 * kind)) for kind in range(3)),
}
TEXTS = 128
TESTED = 1024


def made_vectors() -> list[NDArray[np.float32]]:
    """Return embeddings of 128 instructions of each kind, shape (128, D) each."""
    found = []
    for kind, module in enumerate((lists, sentences, word_facts)):
        skills = [skill for skill in TRAINED if skill in module.SKILLS]
        rng = Random(kind)
        texts = [draw_instruction(rng, rng.choice(skills))[0] for _ in range(TEXTS)]
        found.append(embed(texts))
    return found


@dataclass(frozen=True)
class World:
    """One environment: a table of success by kind and operator, and what the kinds look like."""

    tables: tuple[tuple[float, ...], ...]
    vectors: list[NDArray[np.float32]]

    def play(
        self, learner: Learner, episodes: int, settings: PolicyParams, rng: np.random.Generator
    ) -> Rollout:
        """Return a rollout of whole episodes."""
        kinds = rng.integers(0, len(self.tables), episodes)
        texts = np.stack([self.vectors[kind][rng.integers(0, TEXTS)] for kind in kinds])
        table = np.array(self.tables)[kinds]
        last = np.full(episodes, OPERATORS)
        columns: list[tuple[torch.Tensor, ...]] = []
        for step in range(settings.steps):
            states = [State(int(one), step, 1.0, 0.0) for one in last]
            seen = encode(states, texts, OPERATORS, settings.steps, text=settings.text)
            choice = learner.choose(seen, rng.random(episodes))
            chance = table[np.arange(episodes), choice.actions]
            chance = np.where(choice.actions == last, chance / 2, chance)
            reward = (rng.random(episodes) < chance).astype(np.float32)
            last = choice.actions
            columns.append(
                tuple(map(torch.from_numpy, (seen, choice.actions, choice.log_probs, reward)))
            )
        states_, actions, log_probs, rewards = (
            torch.stack(one, 1) for one in zip(*columns, strict=True)
        )
        return Rollout(states_, actions, log_probs, rewards, torch.ones_like(rewards).bool())


def trained_score(world: World, settings: PolicyParams, seed: int) -> float:
    """Return the mean reward of a policy trained from scratch, on fresh episodes."""
    learner = Learner(DIMENSION, OPERATORS, settings, seed)
    rng = np.random.default_rng(seed)
    for number in range(settings.updates):
        learner.improve(world.play(learner, settings.episodes, settings, rng), number)
    tested = world.play(learner, TESTED, settings, np.random.default_rng(derive(seed, "test")))
    return float(tested.rewards.mean())


def main() -> int:
    """Print the table and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    vectors = made_vectors()
    plain = PolicyParams(min_entropy=0.0)
    rows = [
        ("repeats", "uniform", replace(plain, updates=0, text=False), None),
        ("repeats", "blind, 10 updates", replace(plain, updates=10, text=False), 0.83),
        ("repeats", "text-aware, 10 updates", replace(plain, updates=10), None),
        ("kinds", "uniform", replace(plain, updates=0), None),
        ("kinds", "blind, 20 updates", replace(plain, updates=20, text=False), None),
        ("kinds", "text-aware, 20 updates", replace(plain, updates=20), 0.70),
    ]
    missed = False
    for world, name, settings, bar in rows:
        scores = [
            trained_score(World(TABLES[world], vectors), settings, seed)
            for seed in range(1, options.seeds + 1)
        ]
        mean, spread = statistics.fmean(scores), statistics.pstdev(scores)
        missed |= bar is not None and mean < bar
        line = f"{world:8} {name:24} {mean:.3f} +- {spread:.3f}, least {min(scores):.3f}"
        sys.stdout.write(f"{line}{f'  (bar {bar})' if bar else ''}\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
