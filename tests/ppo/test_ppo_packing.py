"""Reading a shared beginning once gives the numbers and gradients of reading it in every row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_ppo import run, tiny_model, tiny_settings
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    Gemma3TextConfig,
    GPT2Config,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from refine_af.ppo.episodes import Prompt
from refine_af.ppo.packing import can_pack, packed
from refine_af.ppo.padding import Batch, pad
from refine_af.ppo.policy import Policy
from refine_af.storage.journal import MemoryJournal

WORDS = 40
SIZE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
HEADS: dict[str, Any] = {
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
}
BEGINNING = [2 + at * 7 % 37 for at in range(80)]
PROMPTS = [[*BEGINNING, *own] for own in ([3, 4, 5], [8], [9, 10, 11, 12, 13], [8])]
ACTIONS = [[4], [6, 7, 8, 9, 1], [5, 1], [6, 7, 8]]


def model(config: PreTrainedConfig, **named: Any) -> Any:  # noqa: ANN401
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(config, **named).eval()  # type: ignore[no-untyped-call]


def llama(**changes: Any) -> Any:  # noqa: ANN401
    return tiny_model(vocab_size=WORDS, max_position_embeddings=256, **changes)


def policy(made: Any, **changes: Any) -> Policy:  # noqa: ANN401
    found = Policy(made, tiny_settings(**changes))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in found.trainable().values():
            one.add_(0.1 * torch.randn(one.shape, generator=generator))
    return found


def read(found: Policy, batch: Batch, *, packs: bool | None) -> list[torch.Tensor]:
    """Outputs on the actions, and the gradient of a loss that weighs every token differently."""
    found.packs = packs
    found.zero_grad(set_to_none=True)
    seen = found(batch, entropy=True)
    assert seen.entropy is not None
    weights = torch.linspace(0.5, 1.5, batch.action.numel()).view_as(seen.logprobs)
    loss = (weights * (seen.logprobs + seen.values + 0.1 * seen.entropy))[batch.action].sum()
    loss.backward()
    reference = found.reference_logprobs(batch)
    outputs = [one[batch.action] for one in (seen.logprobs, seen.values, seen.entropy, reference)]
    gradients = [one.grad.clone() for one in found.trainable().values() if one.grad is not None]
    assert len(gradients) == len(found.trainable())
    return [*(one.detach() for one in outputs), *gradients]


MODELS = {
    "llama": llama,
    "eager": lambda: llama(attn_implementation="eager"),
    "mistral, window of 24": lambda: model(MistralConfig(**SIZE, **HEADS, sliding_window=24)),
    "gemma 3, windows in every other layer": lambda: model(
        Gemma3TextConfig(
            **SIZE,
            **HEADS,
            head_dim=16,
            sliding_window=24,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
    "qwen 2": lambda: model(Qwen2Config(**SIZE, **HEADS)),
    "gpt 2": lambda: model(
        GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=2, n_positions=256)
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_one_row_gives_the_outputs_and_gradients_of_the_padded_batch(kind: str) -> None:
    found = policy(MODELS[kind](), lora_rank=4)  # type: ignore[no-untyped-call]
    batch = pad(PROMPTS, ACTIONS)
    apart, together = read(found, batch, packs=False), read(found, batch, packs=True)
    for left, right in zip(apart, together, strict=True):
        torch.testing.assert_close(left, right, atol=2e-5, rtol=2e-4)


@pytest.mark.parametrize("recomputed", [False, True])
def test_full_fine_tuning_and_recomputation(recomputed: bool) -> None:
    found = policy(llama(), lora_rank=0, temperature=0.7)
    found.recomputation.on = recomputed
    batch = pad(PROMPTS, ACTIONS)
    apart, together = read(found, batch, packs=False), read(found, batch, packs=True)
    for left, right in zip(apart, together, strict=True):
        torch.testing.assert_close(left, right, atol=2e-5, rtol=2e-4)


def test_the_first_batch_decides_and_a_model_that_reads_one_row_otherwise_keeps_the_padded_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = pad(PROMPTS, ACTIONS)
    good = policy(llama(), lora_rank=4)
    good(batch)
    assert good.packs is True
    odd = policy(llama(), lora_rank=4)
    expected = read(odd, batch, packs=False)
    monkeypatch.setattr("refine_af.ppo.packing.Packed.mask", lambda *_: None)  # rests see rests
    odd.packs = None
    assert odd(batch).logprobs[batch.action].tolist() == expected[0].tolist()
    assert odd.packs is False


def test_models_whose_masks_are_not_known_are_never_packed() -> None:
    falcon: dict[str, Any] = {
        "num_kv_heads": 1,
        "multi_query": True,
        "alibi": True,
        "ffn_hidden_size": 64,
    }
    assert not can_pack(model(FalconConfig(**SIZE, **falcon)).config)
    odd = MistralConfig(**SIZE, **HEADS)
    odd.layer_types = ["linear_attention", "full_attention"]
    odd._attn_implementation = "sdpa"
    assert not can_pack(odd)
    assert can_pack(tiny_model().config)


def test_rows_that_share_little_stay_apart() -> None:
    assert packed(pad([[3, 4, 5], [3, 4, 6]], [[7], [8]])) is None  # shared, but short
    assert packed(pad(PROMPTS[:1], ACTIONS[:1])) is None
    longer = [prompt + [at % 30 for at in range(400)] for prompt in PROMPTS]
    assert packed(pad(longer[:2], ACTIONS[:2])) is None  # 90 of 480 tokens spared of two rows


def test_the_row_by_hand() -> None:
    begin = [9] * 64
    row = packed(pad([[*begin, 1], [*begin, 2, 3]], [[4, 5], [6]]))
    assert row is not None
    assert row.tokens[0, 64:].tolist() == [1, 4, 5, 2, 3, 6]
    assert row.positions[0, 63:].tolist() == [63, 64, 65, 66, 64, 65, 66]
    # before token 4 stands 1, before 5 stands 4; the short action's first column is no token
    assert row.columns.tolist() == [64, 65, 67, 68]
    assert row.seen[:, 0].all()
    assert row.seen[66].nonzero()[:, 0].tolist() == [*range(64), 64, 65, 66]
    assert row.seen[68].nonzero()[:, 0].tolist() == [*range(64), 67, 68]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_rows(data: st.DataObject) -> None:
    token = st.integers(1, WORDS - 1)
    begin = data.draw(st.lists(token, min_size=64, max_size=70))
    count = data.draw(st.integers(2, 5))
    prompts = [begin + data.draw(st.lists(token, max_size=6)) for _ in range(count)]
    actions = [data.draw(st.lists(token, min_size=1, max_size=5)) for _ in range(count)]
    found = policy(llama(), lora_rank=2)
    batch = pad(prompts, actions)
    assert packed(batch) is not None
    with torch.no_grad():
        found.packs = False
        apart = found(batch)
        found.packs = True
        together = found(batch)
    for left, right in ((apart.logprobs, together.logprobs), (apart.values, together.values)):
        torch.testing.assert_close(left[batch.action], right[batch.action], atol=2e-5, rtol=2e-4)


@pytest.mark.parametrize("fits", [True, False])
def test_a_run_says_when_prompts_that_begin_alike_are_read_whole(
    fits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not fits:
        monkeypatch.setattr("refine_af.ppo.packing.Packed.mask", lambda *_: None)
    prompts = [Prompt(f"p{n}", "a b c " * 14 + text) for n, text in enumerate(["x:", "yes:", "z:"])]
    run(MemoryJournal(), tmp_path / "run", tiny_settings(updates=1), prompts=prompts)
    assert ("every prompt is read whole" in capsys.readouterr().err) is not fits
