import pytest
import torch

from refine_af.ppo.episodes import Episode, Feedback
from refine_af.ppo.experience import Experience, ForwardOutputs
from refine_af.ppo.metrics import describe, distinct, explained_variance, template_share


def known() -> Experience:
    mask = torch.tensor([[False, True], [True, True]])
    table = torch.tensor([[9.0, -1.0], [-2.0, -3.0]])
    outputs = ForwardOutputs(
        mask=mask,
        logprobs=table,
        reference=torch.tensor([[0.0, -1.5], [-2.0, -2.0]]),
        values=torch.tensor([[9.0, 1.0], [2.0, 3.0]]),
        entropy=torch.tensor([[9.0, 1.0], [2.0, 3.0]]),
    )
    zeros = torch.zeros(2, 2)
    returns = torch.tensor([[9.0, 1.0], [4.0, 4.0]])
    return Experience([[1], [1]], [(3,), (4, 5)], outputs, zeros, returns)


def test_a_row_by_hand() -> None:
    episodes = [
        Episode("a", "x", "one two three four five", "stop"),
        Episode("b", "x", "ONE two three four six", "length"),
    ]
    feedback = [Feedback(1.0, {"length": 5.0}, True), Feedback(3.0, {"length": 7.0}, False)]
    row = describe(episodes, feedback, known())
    assert (row["reward_mean"], row["reward_sd"]) == (2.0, 1.0)
    assert (row["part_length_mean"], row["part_length_sd"]) == (6.0, 1.0)
    assert row["kl"] == pytest.approx((0.5 + 0.0 - 1.0) / 2)
    differences = [-0.5, 0.0, 1.0]  # reference - policy
    k3 = sum(torch.tensor(d).exp().item() - 1 - d for d in differences)
    assert row["kl_k3"] == pytest.approx(k3 / 2)
    assert row["entropy"] == pytest.approx(2.0)
    assert row["length"] == 1.5
    assert (row["truncated"], row["parseable"]) == (0.5, 0.5)
    assert row["distinct_2"] == 5 / 8
    assert row["template_share"] == 0.5


def test_parts_count_over_the_episodes_that_have_them() -> None:
    episodes = [Episode("a", "x", "one", "stop"), Episode("b", "x", "", "stop")]
    floor = Feedback(-1.0, {}, False)
    row = describe(episodes, [floor, Feedback(3.0, {"length": 7.0}, True)], known())
    assert (row["part_length_mean"], row["reward_mean"]) == (7.0, 1.0)
    assert not [name for name in describe(episodes, [floor, floor], known()) if "part_" in name]


def test_explained_variance_by_hand() -> None:
    # R = 1, 4, 4: variance 2; R - V = 0, 2, 1: variance 2/3
    assert explained_variance(known()) == pytest.approx(1 - (2 / 3) / 2)


def test_templates_show_when_only_the_slots_change() -> None:
    hacked = [f"The best answer to this is {word} as you know" for word in ("a", "b", "c")]
    assert template_share(hacked) == pytest.approx(3 / 7)
    assert template_share(["one two three four", "a b c d"]) == 0.0
    assert template_share(["same text in all", "same text in all"]) == 1.0
    assert template_share(["too short", ""]) == 0.0


def test_distinct_of_nothing_is_zero() -> None:
    assert distinct(["", "one"], 2) == 0.0
