import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from refine_af.ppo.advantages import (
    estimate_advantages,
    masked_mean,
    masked_variance,
    whiten,
)
from refine_af.ppo.rewards import token_rewards

numbers = st.floats(-5, 5, width=32)


def right(rows: list[list[float]], columns: int) -> Tensor:
    return torch.tensor([[0.0] * (columns - len(row)) + row for row in rows], dtype=torch.float64)


def mask_of(lengths: list[int], columns: int) -> Tensor:
    return torch.tensor([[at >= columns - length for at in range(columns)] for length in lengths])


def slow_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """A_t as the sum that it is defined by, term by term."""
    count = len(rewards)
    ahead = [*values[1:], 0.0]
    deltas = [rewards[t] + gamma * ahead[t] - values[t] for t in range(count)]
    return [
        sum((gamma * lam) ** (later - t) * deltas[later] for later in range(t, count))
        for t in range(count)
    ]


def test_gae_of_three_tokens_worked_out_by_hand() -> None:
    # deltas: 0 + 0.5*2 - 1 = 0; 1 + 0.5*4 - 2 = 1; 3 + 0 - 4 = -1; gamma lam = 0.25
    # A3 = -1; A2 = 1 - 0.25 = 0.75; A1 = 0 + 0.25*0.75 = 0.1875
    advantages, returns = estimate_advantages(
        torch.tensor([[0.0, 1.0, 3.0]]),
        torch.tensor([[1.0, 2.0, 4.0]]),
        torch.ones(1, 3, dtype=torch.bool),
        gamma=0.5,
        lam=0.5,
    )
    assert advantages.tolist() == [[0.1875, 0.75, -1.0]]
    assert returns.tolist() == [[1.1875, 2.75, 3.0]]


episode = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(numbers, min_size=n, max_size=n), st.lists(numbers, min_size=n, max_size=n)
    )
)


@given(
    st.lists(episode, min_size=1, max_size=4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 3),
    st.floats(-1e6, 1e6),
)
def test_gae_equals_the_definition_under_any_padding(
    episodes: list[tuple[list[float], list[float]]],
    gamma: float,
    lam: float,
    extra: int,
    junk: float,
) -> None:
    lengths = [len(rewards) for rewards, _ in episodes]
    columns = max(lengths) + extra
    mask = mask_of(lengths, columns)
    rewards = torch.where(mask, right([r for r, _ in episodes], columns), junk)
    values = torch.where(mask, right([v for _, v in episodes], columns), -junk)
    advantages, returns = estimate_advantages(rewards, values, mask, gamma, lam)
    expected = right([slow_gae(r, v, gamma, lam) for r, v in episodes], columns)
    torch.testing.assert_close(advantages, expected, rtol=1e-9, atol=1e-9)
    known = right([v for _, v in episodes], columns)
    torch.testing.assert_close(returns, torch.where(mask, expected + known, 0.0))


def test_mean_variance_and_whitening_by_hand_leave_padding_out() -> None:
    values = torch.tensor([[99.0, 1.0], [3.0, 8.0]])
    mask = torch.tensor([[False, True], [True, True]])
    assert masked_mean(values, mask).item() == 4.0
    assert masked_variance(values, mask).item() == pytest.approx((9 + 1 + 16) / 3)
    deviation = (26 / 3) ** 0.5
    expected = torch.tensor([[0.0, -3 / deviation], [-1 / deviation, 4 / deviation]])
    torch.testing.assert_close(whiten(values, mask), expected)


def test_whitening_equal_advantages_gives_zero_and_not_nan() -> None:
    assert whiten(torch.full((2, 2), 7.0), torch.ones(2, 2, dtype=torch.bool)).tolist() == [
        [0.0, 0.0],
        [0.0, 0.0],
    ]


def test_the_score_lands_on_the_last_real_token_and_kl_on_each() -> None:
    rewards = token_rewards(
        scores=torch.tensor([10.0, -2.0]),
        kl=torch.tensor([[7.0, 1.0, 2.0], [-1.0, 0.5, 0.0]]),
        mask=torch.tensor([[False, True, True], [True, True, True]]),
        coefficient=0.5,
    )
    assert rewards.tolist() == [[0.0, -0.5, 9.0], [0.5, -0.25, -2.0]]
