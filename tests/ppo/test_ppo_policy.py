from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from tiny_ppo import tiny_model, tiny_settings, tiny_tokenizer
from transformers import LlamaForCausalLM

from refine_af.contracts.errors import ParameterError
from refine_af.ppo.padding import pad
from refine_af.ppo.policy import Policy
from refine_af.ppo.trained_model import save_trained

PROMPTS = [[3, 4, 5, 6, 7], [8], [9, 10, 11]]
ACTIONS = [[4], [6, 7, 8, 9, 1], [5, 1]]


def stirred(seed: int = 1, **changes: Any) -> Policy:  # noqa: ANN401
    """A policy whose adapter and value head have left their zero start."""
    policy = Policy(tiny_model(), tiny_settings(**changes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in policy.trainable().values():
            one.add_(0.1 * torch.randn(one.shape, generator=generator))
    return policy


def slow(
    policy: Policy, prompt: list[int], action: list[int], temperature: float
) -> list[tuple[float, float]]:
    """(log-probability, value) of each token, from a pass over just what is before it."""
    found = []
    for taken in range(len(action)):
        seen = torch.tensor([prompt + action[:taken]])
        out = policy.model(input_ids=seen, output_hidden_states=True)
        logprobs = torch.log_softmax(out.logits[0, -1] / temperature, -1)
        value = policy.value_head(out.hidden_states[-1][0, -1])
        found.append((logprobs[action[taken]].item(), value.item()))
    return found


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_padded_batch_says_what_each_prefix_alone_says(rank: int, temperature: float) -> None:
    policy = stirred(lora_rank=rank, temperature=temperature)
    batch = pad(PROMPTS, ACTIONS)
    with torch.no_grad():
        found = policy(batch, entropy=True)
        for row, (prompt, action) in enumerate(zip(PROMPTS, ACTIONS, strict=True)):
            expected = slow(policy, prompt, action, temperature)
            pairs = zip(
                found.logprobs[row, -len(action) :].tolist(),
                found.values[row, -len(action) :].tolist(),
                strict=True,
            )
            assert list(pairs) == [pytest.approx(pair, abs=1e-5) for pair in expected]
    assert batch.action.sum(1).tolist() == [len(action) for action in ACTIONS]


tokens = st.lists(st.integers(0, 28), min_size=1, max_size=7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=4), st.integers(0, 9), st.data())
def test_numbers_do_not_depend_on_padding_order_or_neighbours(
    episodes: list[tuple[list[int], list[int]]], extra: int, data: st.DataObject
) -> None:
    policy = POLICY
    order = data.draw(st.permutations(range(len(episodes))))
    with torch.no_grad():
        together = policy(
            pad([episodes[r][0] for r in order], [episodes[r][1] for r in order], extra=extra),
            entropy=True,
        )
        for place, row in enumerate(order):
            prompt, action = episodes[row]
            alone = policy(pad([prompt], [action]), entropy=True)
            for name in ("logprobs", "values", "entropy"):
                one, other = getattr(alone, name)[0], getattr(together, name)[place]
                torch.testing.assert_close(one, other[-len(action) :], atol=1e-5, rtol=1e-5)


POLICY = stirred(lora_rank=4)


def test_padding_columns() -> None:
    batch = pad([[5, 6], [7]], [[8], [9, 1]], extra=1)
    assert batch.tokens.tolist() == [[0, 5, 6, 8], [0, 7, 9, 1]]
    assert batch.real.tolist() == [[False, True, True, True]] * 2
    assert batch.action.tolist() == [[False, True], [True, True]]
    assert batch.taken.tolist() == [[6, 8], [9, 1]]
    assert batch.positions.tolist() == [[0, 0, 1, 2]] * 2


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_start_model_also_after_training(rank: int) -> None:
    batch = pad(PROMPTS, ACTIONS)
    start = Policy(tiny_model(), tiny_settings(lora_rank=0))
    with torch.no_grad():
        expected = start(batch).logprobs
        policy = stirred(lora_rank=rank)
        assert torch.equal(policy.reference_logprobs(batch), expected)
        assert not torch.allclose(policy(batch).logprobs, expected, atol=1e-2)
        fresh = Policy(tiny_model(), tiny_settings(lora_rank=rank))
        assert torch.equal(fresh(batch).logprobs, expected)
        assert fresh(batch).values.eq(0).all()


def test_lora_trains_the_adapter_and_the_value_head_only() -> None:
    names = Policy(tiny_model(), tiny_settings(lora_rank=4)).trainable()
    assert all("lora_" in name or name.startswith("value_head") for name in names)
    assert sum("lora_A" in name for name in names) == 2 * 7  # layers x linear modules


def test_the_adapter_goes_where_the_names_match() -> None:
    chosen = tiny_settings(lora_rank=4, lora_targets=r".*layers\.1\.mlp\.(up|down)_proj")
    names = [name for name in Policy(tiny_model(), chosen).trainable() if "lora_A" in name]
    assert [name.split(".layers.")[1].split(".lora_A")[0] for name in names] == [
        "1.mlp.up_proj",
        "1.mlp.down_proj",
    ]
    with pytest.raises(ParameterError, match="lora_targets"):
        Policy(tiny_model(), tiny_settings(lora_targets="no_such_layer"))
    with pytest.raises(ParameterError, match=r"lora_targets is .* not a valid regular expression"):
        tiny_settings(lora_targets="(unclosed")


def test_the_weights_train_whose_names_match() -> None:
    only_norm = tiny_settings(lora_rank=0, trained_weights=r"model\.norm\.weight")
    policy = Policy(tiny_model(), only_norm)
    heads = ["value_head.weight", "value_head.bias"]
    assert list(policy.trainable()) == ["model.model.norm.weight", *heads]
    policy(pad(PROMPTS, ACTIONS)).logprobs.sum().backward()
    trained = {name for name, one in policy.named_parameters() if one.grad is not None}
    assert trained == {"model.model.norm.weight"}
    every = Policy(tiny_model(), tiny_settings(lora_rank=0)).trainable()
    assert len(every) == len(list(tiny_model().parameters())) + 2
    with pytest.raises(ParameterError, match="trained_weights"):
        Policy(tiny_model(), tiny_settings(lora_rank=0, trained_weights="norm"))
    with pytest.raises(ParameterError, match=r"trained_weights is .* not a valid regular"):
        tiny_settings(lora_rank=0, trained_weights="(unclosed")
    with pytest.raises(ParameterError, match="needs lora_rank 0, found 4"):
        tiny_settings(lora_rank=4, trained_weights=".*")


def test_the_adapter_start_is_the_seeds_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = Policy(tiny_model(), tiny_settings()).trainable()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    again = Policy(tiny_model(), tiny_settings()).trainable()
    other = Policy(tiny_model(), tiny_settings(seed=2)).trainable()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_detached_value_trains_the_head_only() -> None:
    for detach in (True, False):
        policy = stirred(detach_value=detach, lora_rank=4)
        policy(pad(PROMPTS, ACTIONS)).values.sum().backward()
        trained = {name for name, one in policy.trainable().items() if one.grad is not None}
        heads = {name for name in trained if name.startswith("value_head")}
        assert len(heads) == 2
        assert (trained == heads) is detach


def test_an_adapted_model_is_refused() -> None:
    adapted = Policy(tiny_model(), tiny_settings()).model
    with pytest.raises(ParameterError, match="merge it first"):
        Policy(adapted, tiny_settings())


def test_bfloat16_keeps_the_numbers_near_and_in_float32() -> None:
    batch = pad(PROMPTS, ACTIONS)
    with torch.no_grad():
        exact = stirred()(batch)
        half = stirred(precision="bfloat16")(batch)
    assert half.logprobs.dtype == half.values.dtype == torch.float32
    assert not torch.equal(half.logprobs, exact.logprobs)
    mask = batch.action
    torch.testing.assert_close(half.logprobs[mask], exact.logprobs[mask], atol=0.2, rtol=0)


@pytest.mark.parametrize("rank", [0, 4])
def test_the_saved_policy_loads_with_the_field_s_own_tools(tmp_path: Path, rank: int) -> None:
    policy, batch = stirred(lora_rank=rank), pad([[3, 4]], [[5, 1]])
    save_trained(policy, tiny_tokenizer(), tmp_path)
    loaded = (
        PeftModel.from_pretrained(tiny_model(), tmp_path)
        if rank
        else LlamaForCausalLM.from_pretrained(tmp_path)
    )
    names = {one.name for one in tmp_path.iterdir()}
    assert names >= (
        {"adapter_model.safetensors", "adapter_config.json"} if rank else {"model.safetensors"}
    )
    assert "README.md" not in names
    with torch.no_grad():
        expected = policy.model(input_ids=batch.tokens).logits
        assert torch.equal(loaded.eval()(input_ids=batch.tokens).logits, expected)
