import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from refine_af.contracts.errors import DataError
from refine_af.dedup.static_vectors import DIMENSION, NAME
from refine_af.evolve.learner import Learner, drawn
from refine_af.evolve.network import entropy
from refine_af.evolve.operators import load_operators
from refine_af.evolve.params import PolicyParams
from refine_af.evolve.state import State, encode
from refine_af.evolve.trained import load_policy, save_policy
from refine_af.evolve.update import Rollout, advantages


@pytest.fixture(scope="module")
def made() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "operator_policy.py"
    spec = importlib.util.spec_from_file_location("operator_policy_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@given(
    some.lists(some.floats(-1, 1), min_size=1, max_size=6),
    some.floats(0, 1),
    some.floats(0, 1),
    some.integers(0, 3),
)
def test_advantages_are_those_of_the_definition(
    rewards: list[float], gamma: float, lam: float, padding: int
) -> None:
    values = [0.3 * place - 0.5 for place in range(len(rewards))]
    length = len(rewards)
    errors = [
        rewards[t] + gamma * (values[t + 1] if t + 1 < length else 0.0) - values[t]
        for t in range(length)
    ]
    expected = [
        sum((gamma * lam) ** (k - t) * errors[k] for k in range(t, length)) for t in range(length)
    ]
    real = torch.tensor([[True] * length + [False] * padding])
    found, returns = advantages(
        torch.tensor([rewards + [9.0] * padding]),
        torch.tensor([values + [7.0] * padding]),
        real,
        gamma,
        lam,
    )
    assert torch.allclose(found[real], torch.tensor(expected), atol=1e-4)
    assert torch.allclose(returns[real], found[real] + torch.tensor(values), atol=1e-4)
    assert not found[~real].any()


def test_equal_rewards_change_nothing_but_the_entropy_term() -> None:
    settings = PolicyParams(entropy_coefficient=0.0, min_entropy=0.0, value_coefficient=0.0)
    learner = Learner(DIMENSION, 6, settings, 1)
    before = {key: one.clone() for key, one in learner.network.state_dict().items()}
    states = torch.zeros((4, 1, DIMENSION + 10))
    values = learner.network(states).values.detach()
    rollout = Rollout(
        states,
        torch.tensor([[0], [1], [2], [3]]),
        torch.full((4, 1), -np.log(6)),
        values + 1.0,
        torch.ones((4, 1), dtype=torch.bool),
    )
    numbers = learner.improve(rollout, 0)
    assert all(np.isfinite(value) for value in numbers.values())
    for key, one in learner.network.state_dict().items():
        assert torch.allclose(one, before[key], atol=1e-6), key


@given(
    some.lists(some.floats(0, 1), min_size=2, max_size=7).filter(lambda row: sum(row) > 1e-3),
    some.floats(0, 1, exclude_max=True),
)
def test_a_choice_of_probability_zero_is_never_drawn(row: list[float], draw: float) -> None:
    shares = np.array([row]) / sum(row)
    place = int(drawn(shares, np.array([draw]))[0])
    assert 0 <= place < len(row)
    assert shares[0, place] > 0


def test_the_policy_learns_the_made_environments(made: ModuleType) -> None:
    """Bars of the benchmark, on three seeds and with room for their spread."""
    vectors = made.made_vectors()
    aware = PolicyParams(min_entropy=0.0, updates=14)
    blind = PolicyParams(min_entropy=0.0, updates=14, text=False)
    kinds = made.World(made.TABLES["kinds"], vectors)
    scores = [made.trained_score(kinds, one, 1) for one in (aware, blind)]
    assert scores[0] > 0.66
    assert scores[1] < 0.60
    repeats = made.World(made.TABLES["repeats"], vectors)
    plain = PolicyParams(min_entropy=0.0, updates=10, text=False)
    assert made.trained_score(repeats, plain, 1) > 0.80


def test_an_update_never_takes_the_entropy_below_its_floor(made: ModuleType) -> None:
    """On the rollout's own states; without the floor the same policy falls far below it."""
    world = made.World(made.TABLES["repeats"], made.made_vectors())

    def spreads(floor: float) -> tuple[list[float], float]:
        settings = PolicyParams(min_entropy=floor, updates=12, text=False)
        learner, source = Learner(DIMENSION, 6, settings, 1), np.random.default_rng(1)
        found, rewards = [], []
        for number in range(settings.updates):
            rollout = world.play(learner, settings.episodes, settings, source)
            rewards.append(learner.improve(rollout, number)["reward"])
            with torch.no_grad():
                judged = learner.network(rollout.states[rollout.real])
            found.append(float(entropy(judged.log_probs).mean()))
        return found, sum(rewards[-4:]) / 4

    free, _ = spreads(0.0)
    held, reward = spreads(1.0)
    assert min(free) < 0.6
    assert min(held) > 0.9
    assert reward > 0.66, "0.61 is what a uniform choice earns"


def test_training_is_the_same_for_the_same_seed(made: ModuleType) -> None:
    world = made.World(made.TABLES["repeats"], made.made_vectors())
    settings = PolicyParams(updates=2)
    assert made.trained_score(world, settings, 3) == made.trained_score(world, settings, 3)


def test_a_stored_policy_chooses_as_before_and_refuses_other_operators(tmp_path: Path) -> None:
    operators = load_operators()
    learner = Learner(DIMENSION, 6, PolicyParams(), 5, stop=True)
    facts = {
        "operators": list(operators.names),
        "operators_digest": operators.digest,
        "embedding": NAME,
        "dimension": DIMENSION,
        "steps": 6,
        "hidden": 64,
        "text": True,
        "stop": True,
    }
    save_policy(tmp_path / "policy", learner.network, facts)
    states = [State(6, 0, 1.0, 0.2), State(2, 3, 1.5, 0.7)]
    vectors = np.full((2, DIMENSION), DIMENSION**-0.5, dtype=np.float32)
    stored = load_policy(tmp_path / "policy", operators, NAME)
    expected = learner.probabilities(encode(states, vectors, 6, 6, text=True))
    assert np.array_equal(stored(states, vectors), expected)
    assert expected.shape == (2, 7)
    with pytest.raises(DataError, match="embeds with 'other'"):
        load_policy(tmp_path / "policy", operators, "other")
    facts["operators_digest"] = "0" * 16
    save_policy(tmp_path / "policy", learner.network, facts)
    with pytest.raises(DataError, match="train anew"):
        load_policy(tmp_path / "policy", operators, NAME)
    with pytest.raises(DataError, match="not an operator policy"):
        load_policy(tmp_path, operators, NAME)
