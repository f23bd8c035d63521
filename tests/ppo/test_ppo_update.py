import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_ppo import tiny_model, tiny_settings
from transformers import GPT2Config, GPT2LMHeadModel

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.ppo.episodes import Prompt
from refine_af.ppo.experience import Experience, experience, forward_outputs
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action
from refine_af.ppo.schedule import microbatches, minibatches, prompts_of
from refine_af.ppo.update import accumulate_gradient, improve, make_optimizer

PROMPTS = [[3, 4, 5, 6], [8], [9, 10, 11], [12, 13], [5, 5, 5]]
ACTIONS = [
    Action((4,), "length"),
    Action((6, 7, 8, 9, 1), "stop"),
    Action((5, 1), "stop"),
    Action((14, 15, 16), "length"),
    Action((1,), "stop"),
]
SCORES = torch.tensor([1.0, -1.0, 0.5, 2.0, 0.0])


def exact_model() -> GPT2LMHeadModel:
    """A model without casts to float32 inside (Llama's norm has one), and with dropout set."""
    config = GPT2Config(
        vocab_size=31, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GPT2LMHeadModel(config).double()  # type: ignore[no-untyped-call]


def prepared(options: PPOParams, *, exact: bool = False) -> tuple[Policy, Experience]:
    model = exact_model() if exact else tiny_model()
    policy = Policy(model, options)
    if exact:
        policy.double()
    outputs = forward_outputs(policy, PROMPTS, ACTIONS, 1, options)
    return policy, experience(PROMPTS, ACTIONS, outputs, SCORES, 0.1, options)


def move(policy: Policy, size: float) -> None:
    """Take the policy away from the one that acted, so that ratios leave 1."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in policy.trainable().values():
            one.add_(size * torch.randn(one.shape, generator=generator).to(one.dtype))


@pytest.mark.parametrize("rank", [0, 4])
def test_the_first_ratio_of_an_update_is_exactly_one(rank: int) -> None:
    options = tiny_settings(minibatch=3, microbatch=2, lora_rank=rank)
    policy, known = prepared(options)
    optimizer = make_optimizer(policy, options)
    row = improve(policy, optimizer, known, 1, options)
    assert row["ratio_first"] == 0.0
    assert row["approx_kl"] > 0.0  # later steps have moved
    again = experience(
        PROMPTS,
        ACTIONS,
        forward_outputs(policy, PROMPTS, ACTIONS, 2, options),
        SCORES,
        0.1,
        options,
    )
    assert improve(policy, optimizer, again, 2, options)["ratio_first"] == 0.0


def test_the_first_ratio_is_exactly_one_where_rounding_depends_on_the_batch() -> None:
    options = tiny_settings(minibatch=8, microbatch=3)
    model = tiny_model(hidden_size=128, intermediate_size=352, num_hidden_layers=4)
    policy = Policy(model, options)
    prompts = [[3 + (7 * row + at) % 20 for at in range(1 + row % 9)] for row in range(24)]
    actions = [Action(tuple(range(2, 4 + (5 * row) % 11)), "length") for row in range(24)]
    outputs = forward_outputs(policy, prompts, actions, 1, options)
    others = forward_outputs(policy, prompts, actions, 2, options)
    assert not torch.equal(outputs.logprobs, others.logprobs)  # else this test proves nothing
    known = experience(prompts, actions, outputs, torch.arange(24.0), 0.1, options)
    row = improve(policy, make_optimizer(policy, options), known, 1, options)
    assert row["ratio_first"] == 0.0


def test_minibatches_differ_between_updates_and_epochs() -> None:
    options = tiny_settings()
    drawn = [minibatches(20, *place, options) for place in ((1, 1), (2, 1), (1, 2))]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def slow_loss(policy: Policy, known: Experience, rows: list[int], options: PPOParams) -> float:
    """The objective token by token in plain Python, from passes without padding."""
    total, count = 0.0, 0
    for row in rows:
        prompt, action = PROMPTS[row], ACTIONS[row].tokens
        skip = known.advantages.shape[1] - len(action)
        for at, token in enumerate(action):
            seen = torch.tensor([[*prompt, *action[:at]]])
            out = policy.model(input_ids=seen, output_hidden_states=True)
            logprobs = torch.log_softmax(out.logits[0, -1], -1)
            value = policy.value_head(out.hidden_states[-1][0, -1]).item()
            old, old_value, advantage, returned = (
                table[row, skip + at].item()
                for table in (
                    known.outputs.logprobs,
                    known.outputs.values,
                    known.advantages,
                    known.returns,
                )
            )
            ratio = math.exp(logprobs[token].item() - old)
            limited = min(max(ratio, 1 - options.clip), 1 + options.clip)
            near = old_value + min(max(value - old_value, -options.value_clip), options.value_clip)
            squared = max((value - returned) ** 2, (near - returned) ** 2)
            entropy = -(logprobs.exp() * logprobs).sum().item()
            total += -min(ratio * advantage, limited * advantage)
            total += options.value_coefficient * 0.5 * squared
            total -= options.entropy_coefficient * entropy
            count += 1
    return total / count


@pytest.mark.parametrize("rank", [0, 2])
def test_gradients_equal_finite_differences_of_the_slow_objective(rank: int) -> None:
    options = tiny_settings(lora_rank=rank, microbatch=2, entropy_coefficient=0.05)
    policy, known = prepared(options, exact=True)
    move(policy, 0.05)
    rows = [0, 1, 2, 4]
    accumulate_gradient(policy, known, rows, options)
    step = 1e-5
    for name, parameter in policy.trainable().items():
        assert parameter.grad is not None, name
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        place = int(gradient.abs().argmax())
        with torch.no_grad():
            start = flat[place].item()
            flat[place] = start + step
            above = slow_loss(policy, known, rows, options)
            flat[place] = start - step
            below = slow_loss(policy, known, rows, options)
            flat[place] = start
        expected = (above - below) / (2 * step)
        assert gradient[place].item() == pytest.approx(expected, rel=1e-5, abs=1e-9), name


def test_the_gradient_does_not_depend_on_the_microbatches() -> None:
    found = []
    for most in (1, 2, 5):
        options = tiny_settings(microbatch=most)
        policy, known = prepared(options, exact=True)
        move(policy, 0.05)
        accumulate_gradient(policy, known, [4, 0, 3, 1, 2], options)
        found.append([one.grad for one in policy.trainable().values()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two)


def test_a_gradient_that_is_not_finite_is_not_taken() -> None:
    options = tiny_settings()
    policy, known = prepared(options)
    known = replace(known, returns=torch.full_like(known.returns, 1e30))
    before = {name: one.detach().clone() for name, one in policy.trainable().items()}
    with pytest.raises(DataError, match=r"update 3: the gradient norm is (inf|nan).*learning_rate"):
        improve(policy, make_optimizer(policy, options), known, 3, options)
    assert all(torch.equal(before[name], one) for name, one in policy.trainable().items())


def test_learning_rates_warm_up_and_the_head_has_its_own() -> None:
    options = tiny_settings(warmup_updates=4, learning_rate=1e-3, value_learning_rate=1e-2)
    assert [options.rate_factor(update) for update in (1, 2, 4, 9)] == [0.25, 0.5, 1.0, 1.0]
    policy, known = prepared(options)
    optimizer = make_optimizer(policy, options)
    improve(policy, optimizer, known, 2, options)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-4, 5e-3]


@settings(max_examples=50)
@given(st.integers(1, 9), st.integers(2, 7), st.integers(0, 3))
def test_each_pass_uses_every_prompt_once(count: int, batch: int, seed: int) -> None:
    options = tiny_settings(episodes_per_update=batch, seed=seed)
    prompts = [Prompt(str(number), "x") for number in range(count)]
    drawn, seeds = [], []
    for update in range(1, count + 1):
        chosen, found = prompts_of(prompts, update, options)
        drawn += [prompt.id for prompt in chosen]
        seeds += found
    assert Counter(drawn) == {str(number): batch for number in range(count)}
    for start in range(0, len(drawn), count):
        assert len(set(drawn[start : start + count])) == count
    assert len(set(seeds)) == len(seeds)


def test_siblings_stand_together_with_seeds_of_their_own() -> None:
    options = tiny_settings(episodes_per_update=6, episodes_per_prompt=3)
    prompts = [Prompt(str(number), "x") for number in range(4)]
    drawn, seeds = [], []
    for update in (1, 2):
        chosen, found = prompts_of(prompts, update, options)
        drawn += [prompt.id for prompt in chosen]
        seeds += found
    assert [drawn[at : at + 3] for at in range(0, 12, 3)] == [[one] * 3 for one in drawn[::3]]
    assert set(drawn) == {"0", "1", "2", "3"}
    assert len(set(seeds)) == 12


@given(st.integers(1, 20), st.integers(1, 7), st.integers(1, 5))
def test_each_epoch_steps_on_every_episode_once(episodes: int, minibatch: int, most: int) -> None:
    options = tiny_settings(minibatch=minibatch)
    steps = minibatches(episodes, 3, 2, options)
    assert sorted(row for step in steps for row in step) == list(range(episodes))
    assert all(len(step) == minibatch for step in steps[:-1])
    lengths = [(7 * row) % 5 for row in range(episodes)]
    prompts = [[0]] * episodes
    for step in steps:
        groups = microbatches(step, prompts, lengths, most)
        assert sorted(row for group in groups for row in group) == sorted(step)
        assert all(len(group) <= most for group in groups)


def test_episodes_whose_prompts_begin_alike_share_a_pass_and_others_go_by_length() -> None:
    one, other = [1] * 64, [2] * 64
    prompts = [[*one, 5], [*other, 5], [*one, 6, 7], [*other, 6]]
    assert microbatches(range(4), prompts, [66, 90, 67, 70], 2) == [[0, 2], [3, 1]]
    short = [[1, 5], [2, 5], [1, 6, 7], [2, 6]]
    assert microbatches(range(4), short, [8, 4, 6, 9], 2) == [[1, 2], [0, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": 1.5}, "clip is 1.5; it must be less than or equal to 1"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be greater than 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        (
            {"episodes_per_update": 1},
            "episodes_per_update is 1; it must be greater than or",
        ),
        ({"episodes_per_prompt": 3}, "episodes_per_prompt is 3; it must divide"),
        ({"precision": "fp8"}, "precision is 'fp8'; it must be 'float32' or 'bfloat16'"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        tiny_settings(**change)
