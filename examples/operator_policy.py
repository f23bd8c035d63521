"""Learn which textual operation to choose: TeaMs-RL (arXiv 2403.08694).

A language model rewrites an instruction as the chosen operation asks, a reviewer says whether the
rewrite differs from its parent, and the policy is paid for difference and novelty.
"""

import sys

from refine_af.contracts.randomness import derive, sample
from refine_af.engines.transformers_text import TransformersText
from refine_af.evolve.bank import Bank
from refine_af.evolve.embedding import LIGHT, open_embedding
from refine_af.evolve.frontier import Evolver, Root
from refine_af.evolve.learner import Learner
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import load_operators
from refine_af.evolve.params import PolicyParams
from refine_af.evolve.policies import TrainedPolicy
from refine_af.evolve.reviewer import Reviewer
from refine_af.evolve.state import encode
from refine_af.evolve.training import TrainingPlan, as_rollout
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN


def learn(roots: list[Root], params: PolicyParams) -> tuple[Learner, Ledger]:
    """Play episodes and improve the policy, update by update."""
    engine, ledger, operators = TransformersText(params.model), Ledger(), load_operators()
    embedding = open_embedding(LIGHT)
    count, dimension = len(operators.names), embedding.dimension
    plan = TrainingPlan(count, False, dimension, params.seed, 1, 0)
    learner = Learner(dimension, count, params, params.seed)
    policy = TrainedPolicy(
        "learning",
        lambda states, vectors: learner.probabilities(
            encode(states, vectors, count, params.steps, text=True)
        ),
        derive(params.seed, "draws"),
        exploration=0.0,
    )
    reviewer = Reviewer(engine, params.style, params.seed, ledger)
    evolver = Evolver(engine, reviewer, operators, embedding.embed, Bank(dimension), params, ledger)
    for update in range(params.updates):
        drawn = sample(roots, params.episodes, params.seed, "roots", update)
        # choose, rewrite, review
        played = evolver.run(drawn, policy, phase="train", update=update)
        rollout = as_rollout(played.steps, embedding.embed, params, plan)
        numbers = learner.improve(rollout, update)  # PPO on the choices
        kept = f"{len(played.kept)} of {len(played.steps)} rewrites kept"
        print(f"update {update + 1}: reward {numbers['reward']:.3f}, {kept}")
    return learner, ledger


def main(updates: int = 3) -> tuple[Learner, Ledger]:
    """Train on a few seeds with the embedded model and count its calls."""
    seeds = read_seeds(BUILTIN["builtin:seeds"], "seeds", "Apache-2.0").rows
    params = PolicyParams(updates=updates, episodes=8, steps=3, style="plain", max_tokens=40)
    learner, ledger = learn([Root.of(seed) for seed in seeds], params)
    print(f"{ledger.calls('evolver', 'judge')} model calls")
    return learner, ledger


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
