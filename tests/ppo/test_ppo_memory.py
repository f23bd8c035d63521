"""What an update keeps in memory: real modules at real widths, with fake tensors (no numbers)."""

import pytest
import torch
from live_bytes import GIB, LiveBytes, counted
from ppo_memory import SHAPES, Peak, microbatch_peak, policy_on_meta, resized
from tiny_ppo import tiny_model, tiny_settings
from torch import Tensor
from transformers import CohereConfig, CohereForCausalLM, Gemma2Config, Gemma2ForCausalLM

from refine_af.contracts.errors import ParameterError
from refine_af.ppo import output_layer
from refine_af.ppo.activations import LayerShape, kept_bytes, update_bytes
from refine_af.ppo.padding import pad
from refine_af.ppo.policy import Policy

BATCH = pad([[3, 4, 5, 6, 7], [8], [9, 10, 11]], [[4], [6, 7, 8, 9, 1], [5, 1]])


def numbers(policy: Policy) -> list[Tensor]:
    """Return what the policy says of the batch, and every gradient of a loss over all of it."""
    said = policy(BATCH, entropy=True)
    assert said.entropy is not None
    mask = BATCH.action
    loss = (said.logprobs + said.values + 0.3 * said.entropy)[mask].sum()
    loss.backward()
    gradients = [one.grad for one in policy.trainable().values() if one.grad is not None]
    return [said.logprobs[mask], said.values[mask], said.entropy[mask], *gradients]


def moved(policy: Policy) -> Policy:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in policy.trainable().values():
            one.add_(0.1 * torch.randn(one.shape, generator=generator))
    return policy


@pytest.mark.parametrize("rank", [0, 4])
def test_recomputation_gives_the_same_numbers_to_the_last_bit(rank: int) -> None:
    plain, twice = (moved(Policy(tiny_model(), tiny_settings(lora_rank=rank))) for _ in range(2))
    twice.recomputation.on = True
    assert twice.recomputation.layers == 2
    for one, other in zip(numbers(plain), numbers(twice), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("rank", [0, 4])
def test_chunks_give_the_same_numbers(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = numbers(moved(Policy(tiny_model(), tiny_settings(lora_rank=rank, temperature=0.7))))
    monkeypatch.setattr(output_layer, "CHUNK_LOGITS", 4 * 31)
    chunked = numbers(moved(Policy(tiny_model(), tiny_settings(lora_rank=rank, temperature=0.7))))
    for one, other in zip(whole, chunked, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_whole_logits_never_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_layer, "CHUNK_LOGITS", 16 * 5000)
    model = tiny_model(vocab_size=5000)
    batch = pad([[3]] * 8, [list(range(100, 164))] * 8)
    whole = 8 * 64 * 5000 * 4
    policy = Policy(model, tiny_settings(lora_rank=4))
    for gradient in (True, False):
        with LiveBytes() as live, torch.set_grad_enabled(gradient):
            said = policy(batch, entropy=True)
            assert said.entropy is not None
            if gradient:
                (said.logprobs.sum() + said.entropy.sum()).backward()
            policy.reference_logprobs(batch)
        assert live.peak < whole / 2


def soft_capped() -> Gemma2ForCausalLM:
    config = Gemma2Config(
        vocab_size=31,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=2.0,
        initializer_range=0.5,
    )
    return Gemma2ForCausalLM(config)  # type: ignore[no-untyped-call]


def scaled() -> CohereForCausalLM:
    config = CohereConfig(
        vocab_size=31,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        logit_scale=0.25,
        pad_token_id=None,
    )
    return CohereForCausalLM(config)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("make", [soft_capped, scaled])
def test_what_a_model_does_after_its_output_layer_is_done_here_too(make: object) -> None:
    policy = Policy(make().eval(), tiny_settings())  # type: ignore[operator]
    with torch.no_grad():
        said = policy(pad([[3, 4]], [[5, 6, 1]]))
        logits = policy.model(input_ids=torch.tensor([[3, 4, 5, 6, 1]])).logits[0, 1:4]
    expected = logits.log_softmax(-1).gather(1, torch.tensor([[5], [6], [1]]))[:, 0]
    torch.testing.assert_close(said.logprobs[0], expected, atol=1e-5, rtol=1e-5)


def test_a_model_that_does_something_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refine_af.ppo.policy.finished", lambda logits, config: logits)
    with pytest.raises(ParameterError, match="after the output layer"):
        Policy(soft_capped(), tiny_settings())(pad([[3, 4]], [[5, 6, 1]]))


def kept(name: str, layers: int, sizes: dict[str, int]) -> Peak:
    policy = policy_on_meta(resized(SHAPES[name], layers, **sizes))
    return microbatch_peak(policy, 2, 96, 32, recompute=False)


NARROW = {"hidden_size": 1024, "intermediate_size": 3072, "num_attention_heads": 16}


@pytest.mark.parametrize("sizes", [{}, NARROW], ids=["real", "narrow"])
@pytest.mark.parametrize("name", ["llama2-7b", "mistral-7b", "qwen2.5-1.5b"])
def test_the_formula_says_what_a_layer_keeps(name: str, sizes: dict[str, int]) -> None:
    if sizes:
        grouped = {"llama2-7b": 16, "mistral-7b": 4, "qwen2.5-1.5b": 2}
        sizes = sizes | {"num_key_value_heads": grouped[name]}
    few, more = (kept(name, layers, sizes) for layers in (2, 4))
    config = resized(SHAPES[name], 4, **sizes)
    shape = LayerShape(2, config.hidden_size, config.intermediate_size)
    # What two more layers keep of 256 tokens; their adapters' gradients, float32, stand too.
    adapted = policy_on_meta(config).model.parameters()
    gradients = 4 / 2 * sum(one.numel() for one in adapted if one.requires_grad)
    measured = (more.peak - more.weights) - (few.peak - few.weights)
    expected = kept_bytes(shape, 2 * 128, half=True)
    assert measured - gradients < 1.15 * expected
    assert measured > 0.85 * expected


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_formula_of_an_update_holds_at_full_size(name: str) -> None:
    config = SHAPES[name]
    found = microbatch_peak(policy_on_meta(config), 4, 756, 256, recompute=True)
    shape = LayerShape(config.num_hidden_layers, config.hidden_size, config.intermediate_size)
    adapter = [one for one in policy_on_meta(config).model.parameters() if one.requires_grad]
    # gradients in float32, and autocast's copies in bfloat16
    besides = 6 * sum(one.numel() for one in adapter)
    expected = update_bytes(shape, 4 * 1012, half=True, recomputed=True) + besides
    assert found.peak - found.weights == pytest.approx(expected, rel=0.15)


def test_7b_trains_in_less_than_32_gib_and_13b_in_40() -> None:
    """The bars: microbatch 8 of 1,012 tokens, bfloat16, LoRA 16, with the scorers and Adam."""
    besides = 4.04 * GIB + 0.5 * GIB  # the published scorers in bfloat16, and Adam's moments
    for name, bar in (("llama2-7b", 32), ("llama2-13b", 40)):
        found = microbatch_peak(policy_on_meta(SHAPES[name]), 8, 756, 256, recompute=True)
        assert found.peak + besides < bar * GIB


def test_recomputation_is_on_where_activations_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(tiny_model(), tiny_settings())
    policy.prepare(8 * 100)
    assert not policy.recomputation.on
    monkeypatch.setattr("refine_af.ppo.activations.RECOMPUTE_ABOVE", 1e5)
    policy.prepare(8 * 100)
    assert policy.recomputation.on


def test_living_bytes_are_counted_until_they_die() -> None:
    with LiveBytes() as live:
        first = torch.zeros(1000)
        second = first + 1
        assert live.now == 8000
        del first
        assert live.now == 4000
        _ = second.view(10, 100)  # no storage of its own
        assert (live.now, live.peak) == (4000, 8000)


def test_fake_weights_are_counted() -> None:
    with counted(torch.nn.Linear(10, 5, device="meta")) as live:
        assert live.now == (50 + 5) * 4
