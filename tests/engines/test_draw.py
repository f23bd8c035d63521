import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.engines.draw import draw, noise, nucleus_bound
from refine_af.engines.text import Sampling

GRID = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000


def shares(logits: list[float], sampling: Sampling) -> list[float]:
    """How often each token is drawn when the uniform number runs evenly through [0, 1)."""
    rows = torch.tensor([logits]).expand(len(GRID), -1)
    counts = torch.bincount(draw(rows, GRID, sampling), minlength=len(logits))
    return (counts / len(GRID)).tolist()


def reference(logits: list[float], temperature: float, top_p: float) -> list[float]:
    """Softmax, then the shortest ranked prefix whose mass reaches top_p, in plain Python."""
    powers = [math.exp(logit / temperature) for logit in logits]
    probabilities = [power / sum(powers) for power in powers]
    kept: set[int] = set()
    mass = 0.0
    for token in sorted(range(len(logits)), key=lambda token: -probabilities[token]):
        if mass >= top_p:
            break
        kept.add(token)
        mass += probabilities[token]
    return [p / mass if token in kept else 0.0 for token, p in enumerate(probabilities)]


def test_draws_follow_the_tempered_distribution() -> None:
    logits = [0.0, 1.0, 2.0, -1.0]
    for temperature in (0.5, 1.0, 2.0):
        got = shares(logits, Sampling(temperature=temperature))
        want = reference(logits, temperature, 1.0)
        assert all(abs(a - b) < 2e-4 for a, b in zip(got, want, strict=True))


def test_nucleus_by_hand() -> None:
    # p = 0.5, 0.3, 0.15, 0.05: the nucleus of 0.7 is the first two, renormalised by 0.8.
    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    got = shares(logits, Sampling(top_p=0.7))
    assert [round(share, 3) for share in got] == [0.625, 0.375, 0.0, 0.0]


@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=150, unique=True),
    st.floats(0.05, 0.99),
)
@settings(max_examples=60, deadline=None)
def test_nucleus_agrees_with_the_plain_reference(tenths: list[int], top_p: float) -> None:
    # Flat rows reach past the first look of 64 tokens, peaked ones do not.
    logits = [tenth / 10 for tenth in tenths]
    want = {token for token, p in enumerate(reference(logits, 1.0, top_p)) if p > 0}
    probabilities = torch.softmax(torch.tensor([logits]), -1)
    kept = probabilities >= nucleus_bound(probabilities, top_p)
    got = set(kept[0].nonzero().squeeze(1).tolist())
    # A float32 mass may fall on the other side of top_p: then one token more or less.
    assert got >= want or want >= got
    assert len(got ^ want) <= 1


def test_a_long_flat_row_beside_a_peaked_one_is_sorted_in_full() -> None:
    flat, peaked = torch.zeros(200), torch.zeros(200)
    flat += torch.arange(200) * 1e-3
    peaked[7] = 50.0
    probabilities = torch.softmax(torch.stack([flat, peaked]), -1)
    kept = (probabilities >= nucleus_bound(probabilities, 0.9)).sum(-1).tolist()
    assert 175 <= kept[0] <= 180
    assert kept[1] == 1


def test_ties_at_the_edge_of_the_nucleus_all_stay() -> None:
    probabilities = torch.tensor([[0.4, 0.2, 0.2, 0.2]])
    assert (probabilities >= nucleus_bound(probabilities, 0.5)).tolist() == [[True] * 4]


def test_extreme_uniform_numbers_never_leave_the_support() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 1.0, -math.inf]]).expand(2, -1)
    edge = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    assert draw(logits, edge, Sampling()).tolist() == [1, 2]


def test_greedy_takes_the_largest() -> None:
    logits = torch.tensor([[0.0, 3.0, 3.0], [5.0, 1.0, 2.0]])
    assert draw(logits, GRID[:2], Sampling(temperature=0.0)).tolist() == [1, 0]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_noise_depends_on_seed_and_step_only(seeds: list[int], steps: int) -> None:
    whole = noise(seeds, steps)
    assert bool(((whole >= 0) & (whole < 1)).all())
    for row, seed in enumerate(seeds):
        assert torch.equal(noise([seed], steps + 3)[0, :steps], whole[row])


def test_noise_is_the_start_of_numpys_philox_stream() -> None:
    # The first raw word of Philox4x64-10 with key 1: the stream is part of "same seed same rows".
    assert noise([1], 1).item() == (0x4DB6A27B756282DF >> 11) / 2**53
