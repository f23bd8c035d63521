import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_af.ppo.episodes import Feedback
from refine_af.ppo.kl import k1, k3, next_coefficient
from refine_af.ppo.losses import entropies, log_probabilities, policy_loss, value_loss
from refine_af.ppo.rewards import against_siblings, episode_scores
from refine_af.ppo.rollout import Action

logs = st.floats(-3, 0)
numbers = st.floats(-5, 5)


def as_tensor(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, -2.0),  # nothing has moved
        (1.5, 2.0, -2.4),  # moved too far the right way: clipped at 1.2
        (0.5, 2.0, -1.0),  # moved the wrong way: not clipped, so that it can return
        (0.5, -2.0, 1.6),  # the same with a bad action: clipped at 0.8
        (1.5, -2.0, 3.0),
    ],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, expected: float) -> None:
    old = as_tensor(-1.0)
    found = policy_loss(old + math.log(ratio), old, as_tensor(advantage), clip=0.2)
    assert found.item() == pytest.approx(expected)


@given(logs, logs, numbers, st.floats(0.05, 0.5))
def test_policy_loss_equals_equation_7(new: float, old: float, adv: float, clip: float) -> None:
    ratio = math.exp(new - old)
    clipped = min(max(ratio, 1 - clip), 1 + clip)
    found = policy_loss(as_tensor(new), as_tensor(old), as_tensor(adv), clip).item()
    assert found == pytest.approx(-min(ratio * adv, clipped * adv))


@pytest.mark.parametrize(
    ("new", "returned", "clip", "expected"),
    [
        (1.5, 2.0, 0.2, 0.5 * 0.8**2),  # clipped to 1.2, whose error is the larger
        (1.5, 0.0, 0.2, 0.5 * 1.5**2),  # moved away from the target: its own error counts
        (1.1, 2.0, 0.2, 0.5 * 0.9**2),  # within the clip
        (1.5, 2.0, 0.0, 0.5 * 0.5**2),  # 0 does not clip
    ],
)
def test_value_loss_by_hand(new: float, returned: float, clip: float, expected: float) -> None:
    found = value_loss(as_tensor(new), as_tensor(1.0), as_tensor(returned), clip)
    assert found.item() == pytest.approx(expected)


def test_log_probabilities_and_entropy_by_hand() -> None:
    logits = torch.tensor([[[math.log(1), math.log(2), math.log(5)]]])  # p = 1/8, 2/8, 5/8
    assert log_probabilities(logits.clone(), torch.tensor([[1]])).item() == pytest.approx(
        math.log(0.25)
    )
    expected = -sum(p * math.log(p) for p in (0.125, 0.25, 0.625))
    assert entropies(logits).item() == pytest.approx(expected)


def test_the_gradient_of_log_probabilities_is_onehot_less_softmax() -> None:
    start = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    taken, weight = torch.tensor([[0, 1, 4], [2, 2, 3]]), torch.randn(2, 3, dtype=torch.float64)
    (slow,) = torch.autograd.grad(
        (start.log_softmax(-1).gather(-1, taken[..., None])[..., 0] * weight).sum(), start
    )
    found = log_probabilities(start * 1.0, taken)
    (fast,) = torch.autograd.grad((found * weight).sum(), start, retain_graph=True)
    assert torch.allclose(fast, slow, rtol=0, atol=1e-14)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(found.sum(), start)  # its memory was used up: no wrong gradient


def test_logits_that_somebody_kept_are_not_silently_used_up() -> None:
    start = torch.randn(1, 2, 5, requires_grad=True)
    logits = start * 1.0
    square = (logits * logits).sum()  # keeps the logits for its gradient
    total = square + log_probabilities(logits, torch.tensor([[0, 1]])).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(total, start)


@given(st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=5))
def test_log_probabilities_equal_the_softmax_loop(rows: list[list[float]]) -> None:
    taken = [at % 4 for at in range(len(rows))]
    found = log_probabilities(torch.tensor([rows], dtype=torch.float64), torch.tensor([taken]))
    for row, token, value in zip(rows, taken, found[0].tolist(), strict=True):
        expected = math.log(math.exp(row[token]) / sum(math.exp(logit) for logit in row))
        assert value == pytest.approx(expected)


def test_kl_estimators_average_to_the_kl() -> None:
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    exact = sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    for estimator in (k1, k3):
        assert (p * estimator(p.log(), q.log())).sum().item() == pytest.approx(exact)
    assert (k3(p.log(), q.log()) >= 0).all()
    assert k3(torch.tensor(-1.0), torch.tensor(-1.0)).item() == 0


@pytest.mark.parametrize(
    ("kl", "target", "expected"),
    [
        (6.0, 0.0, 0.5),  # fixed
        (6.0, 6.0, 0.5),  # on target
        (60.0, 6.0, 0.5 * 1.02),  # far above: one step of at most 0.1 * 0.2
        (0.0, 6.0, 0.5 * 0.98),
        (6.6, 6.0, 0.5 * 1.01),  # 10 % above: 0.1 * 0.1
    ],
)
def test_kl_coefficient_moves_as_in_ziegler(kl: float, target: float, expected: float) -> None:
    assert next_coefficient(0.5, kl, target, rate=0.1) == pytest.approx(expected)


def test_a_cut_off_action_pays_the_penalty() -> None:
    feedback = [Feedback(1.0, {}, True), Feedback(1.0, {}, True)]
    actions = [Action((3,), "stop"), Action((3,), "length")]
    assert episode_scores(feedback, actions, 0.25).tolist() == [1.0, 0.75]


def test_siblings_are_the_baseline_by_hand() -> None:
    scores = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0, 5.0])
    assert against_siblings(scores, 3).tolist() == [-3.0, -1.5, 4.5, 0.0, 0.0, 0.0]
    assert against_siblings(scores, 2).tolist() == [-1.0, 1.0, 1.0, -1.0, 0.0, 0.0]
    assert against_siblings(scores, 1).tolist() == scores.tolist()


@given(st.integers(2, 4), st.lists(numbers, min_size=2, max_size=5), st.data())
def test_the_ease_of_a_prompt_cancels(
    siblings: int, ease: list[float], data: st.DataObject
) -> None:
    count = siblings * len(ease)
    scores = data.draw(st.lists(numbers, min_size=count, max_size=count))
    easier = [score + ease[place // siblings] for place, score in enumerate(scores)]
    found = against_siblings(torch.tensor(easier, dtype=torch.float64), siblings)
    for place, score in enumerate(scores):
        start = place - place % siblings
        others = [scores[p] for p in range(start, start + siblings) if p != place]
        expected = score - sum(others) / len(others)
        assert found[place].item() == pytest.approx(expected, abs=1e-9)
