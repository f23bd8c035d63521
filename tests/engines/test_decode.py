from typing import Any

import pytest
import torch
from tiny_engine import END, byte_tokenizer, random_llama
from transformers import GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines import kv_cache
from refine_af.engines.choose import choose, score_continuations
from refine_af.engines.decode import (
    SHARED_AT_LEAST,
    Decoded,
    batch_order,
    decode,
    prefill,
    shared_groups,
    shared_tokens,
)
from refine_af.engines.draw import draw
from refine_af.engines.stopping import completion_text, cut
from refine_af.engines.text import Sampling

TOKENIZER = byte_tokenizer()
TEXTS = ("Count the words.", "a", "Sort: pear, apple and quince", "Zürich, 東京", "x y z" * 9)
PROMPTS = [TOKENIZER(text)["input_ids"] for text in TEXTS]
SEEDS = [11, 12, 13, 14, 15]


def slow_greedy(model: torch.nn.Module, prompt: list[int], steps: int) -> list[int]:
    """No cache, no padding, one row."""
    ids = list(prompt)
    for _ in range(steps):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == END:
            break
    return ids[len(prompt) :]


def generate(model: Any, prompt: list[int], steps: int) -> list[int]:  # noqa: ANN401
    """What transformers' own loop writes."""
    output = model.generate(
        torch.tensor([prompt]), max_new_tokens=steps, do_sample=False, pad_token_id=0
    )
    return list(output[0, len(prompt) :].tolist())


def slow_logprob(model: torch.nn.Module, prompt: list[int], tokens: list[int]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).sum())


def test_greedy_agrees_with_the_uncached_model_and_with_generate() -> None:
    model = random_llama()
    found = decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(max_tokens=30, temperature=0.0))
    for prompt, one in zip(PROMPTS, found, strict=True):
        assert one.tokens == slow_greedy(model, prompt, 30)
        assert one.tokens == generate(model, prompt, 30)


def test_a_long_completion_outgrows_the_first_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_llama()
    sampling = Sampling(max_tokens=40, temperature=0.0)
    whole = decode(model, TOKENIZER, PROMPTS, SEEDS, sampling)
    monkeypatch.setattr(kv_cache, "SPARE_COLUMNS", 3)
    assert decode(model, TOKENIZER, PROMPTS, SEEDS, sampling) == whole


def test_rows_that_end_early_leave_and_the_others_go_on_unchanged() -> None:
    model = random_llama()
    model.generation_config.eos_token_id = list(range(0, 257, 9))
    sampling = Sampling(max_tokens=60, temperature=1.0)
    found = decode(model, TOKENIZER, PROMPTS * 4, list(range(20)), sampling)
    lengths = {len(one.tokens) for one in found}
    assert len(lengths) > 5, "the rows must end at different steps"
    for one, prompt in zip(found, PROMPTS * 4, strict=True):
        ended = one.tokens[-1] % 9 == 0 or one.tokens[-1] == END
        assert one.finish == ("stop" if ended else "length")
        assert not any(token % 9 == 0 for token in one.tokens[:-1])
        assert one.logprob == pytest.approx(slow_logprob(model, prompt, one.tokens), abs=1e-3)


def test_a_completion_does_not_depend_on_its_neighbours_or_their_order() -> None:
    model = random_llama()
    sampling = Sampling(max_tokens=25, temperature=0.8, top_p=0.9)
    together = decode(model, TOKENIZER, PROMPTS, SEEDS, sampling)
    turned = decode(model, TOKENIZER, PROMPTS[::-1], SEEDS[::-1], sampling)[::-1]
    assert [one.tokens for one in turned] == [one.tokens for one in together]
    for place, prompt in enumerate(PROMPTS):
        alone = decode(model, TOKENIZER, [prompt], [SEEDS[place]], sampling)
        assert alone[0].tokens == together[place].tokens


def test_seeds_matter_and_repeat() -> None:
    model = random_llama()
    prompts = [PROMPTS[0]] * 3
    found = decode(model, TOKENIZER, prompts, [1, 2, 1], Sampling(max_tokens=12))
    assert found[0] == found[2]
    assert found[0].tokens != found[1].tokens


def test_first_tokens_follow_the_models_distribution() -> None:
    model = random_llama()
    with torch.no_grad():
        wanted = model(torch.tensor([PROMPTS[1]])).logits[0, -1].softmax(-1)
    rows = 4000
    found = decode(model, TOKENIZER, [PROMPTS[1]] * rows, list(range(rows)), Sampling(max_tokens=1))
    counts = torch.bincount(torch.tensor([one.tokens[0] for one in found]), minlength=257)
    often = wanted * rows > 20
    chi = ((counts - wanted * rows) ** 2 / (wanted * rows))[often].sum().item()
    # Mean is the number of cells; three standard deviations above it.
    cells = int(often.sum())
    assert cells > 5
    assert chi < cells + 3 * (2 * cells) ** 0.5


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=20, temperature=0.5),
        Sampling(max_tokens=20, temperature=1.3, top_p=0.8),
        Sampling(max_tokens=20, temperature=1.0, presence_penalty=-2.0),
    ],
)
def test_logprob_is_that_of_the_plain_model(sampling: Sampling) -> None:
    model = random_llama()
    found = decode(model, TOKENIZER, PROMPTS, SEEDS, sampling)
    for prompt, one in zip(PROMPTS, found, strict=True):
        assert one.logprob == pytest.approx(slow_logprob(model, prompt, one.tokens), abs=1e-3)


def test_a_large_presence_penalty_forbids_repeats() -> None:
    model = random_llama()
    plain = decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(max_tokens=40, temperature=0.0))
    assert any(len(set(one.tokens)) < len(one.tokens) for one in plain)
    found = decode(
        model,
        TOKENIZER,
        PROMPTS,
        SEEDS,
        Sampling(max_tokens=40, temperature=0.0, presence_penalty=1e4),
    )
    assert all(len(set(one.tokens)) == len(one.tokens) for one in found)


@pytest.mark.parametrize("stop", [("e",), ("ab", "q"), ("é", "~ "), ("never there",)])
def test_a_stop_text_cuts_what_would_have_been_written(stop: tuple[str, ...]) -> None:
    model = random_llama()
    prompts, seeds = PROMPTS * 6, list(range(30))
    free = decode(model, TOKENIZER, prompts, seeds, Sampling(max_tokens=50))
    cut_off = decode(model, TOKENIZER, prompts, seeds, Sampling(max_tokens=50, stop=stop))
    stopped = 0
    for prompt, whole, one in zip(prompts, free, cut_off, strict=True):
        assert whole.tokens[: len(one.tokens)] == one.tokens
        text = completion_text(TOKENIZER, prompt, whole.tokens)
        assert cut(completion_text(TOKENIZER, prompt, one.tokens), stop) == cut(text, stop)
        before = completion_text(TOKENIZER, prompt, one.tokens[:-1])
        assert not any(word in before for word in stop), "it stops at the first chance"
        if any(word in text for word in stop):
            stopped += 1
            assert one.finish == "stop"
        else:
            assert one == whole
    assert stopped > 0 or stop != ("e",)


def test_choices_have_the_probability_of_their_tokens() -> None:
    model = random_llama()
    texts = [TOKENIZER(choice)["input_ids"] for choice in ("Yes", "No", "Perhaps", "N")]
    scores = score_continuations(model, PROMPTS, texts)
    for row, prompt in zip(scores.tolist(), PROMPTS, strict=True):
        for score, text in zip(row, texts, strict=True):
            assert score == pytest.approx(slow_logprob(model, prompt, text), abs=1e-3)


def test_choices_greedy_and_sampled() -> None:
    model = random_llama()
    choices = ("q", "7", "no")
    texts = [TOKENIZER(choice)["input_ids"] for choice in choices]
    scores = score_continuations(model, PROMPTS, texts).detach()
    greedy = choose(
        model, TOKENIZER, PROMPTS, SEEDS, Sampling(temperature=0.0, choices=choices, max_tokens=1)
    )
    for one, row in zip(greedy, scores, strict=True):
        best = int(row.argmax())
        assert (one.tokens, one.finish) == (texts[best], "stop")
        assert one.logprob == pytest.approx(float(row[best]), abs=1e-5)
    rows = 3000
    sampled = choose(
        model, TOKENIZER, [PROMPTS[0]] * rows, list(range(rows)), Sampling(choices=choices)
    )
    wanted = scores[0].softmax(-1).tolist()
    for text, share in zip(texts, wanted, strict=True):
        drawn = sum(one.tokens == text for one in sampled) / rows
        assert abs(drawn - share) < 3.5 * (share * (1 - share) / rows) ** 0.5 + 1e-9


def test_an_empty_choice_is_refused() -> None:
    with pytest.raises(ParameterError, match="each must have a token"):
        choose(random_llama(), TOKENIZER, PROMPTS, SEEDS, Sampling(choices=("a", "")))


def test_a_model_with_attention_windows_decodes_like_generate() -> None:
    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=257,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        sliding_window=6,
        initializer_range=0.2,
        eos_token_id=END,
        pad_token_id=0,
    )
    model: MistralForCausalLM = MistralForCausalLM(config)  # type: ignore[no-untyped-call]
    model.train(False)
    assert not kv_cache.can_grow(model.config, 7)
    assert kv_cache.can_grow(model.config, 6)
    model.generation_config.eos_token_id = list(range(0, 257, 16))
    found = decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(max_tokens=40, temperature=0.0))
    assert len({len(one.tokens) for one in found}) > 1
    for prompt, one in zip(PROMPTS, found, strict=True):
        assert one.tokens == generate(model, prompt, 40)
    texts = [TOKENIZER(choice)["input_ids"] for choice in ("Yes", "No")]
    scores = score_continuations(model, PROMPTS, texts)
    for row, prompt in zip(scores.tolist(), PROMPTS, strict=True):
        for score, text in zip(row, texts, strict=True):
            assert score == pytest.approx(slow_logprob(model, prompt, text), abs=1e-3)


def test_absolute_positions_count_from_the_first_token_and_not_from_the_padding() -> None:
    # Rotary positions would not tell: they are relative.
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=257, n_positions=128, n_embd=32, n_layer=2, n_head=4)
    config.initializer_range = 0.5
    model: GPT2LMHeadModel = GPT2LMHeadModel(config)  # type: ignore[no-untyped-call]
    model.train(False)
    found = decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(max_tokens=20, temperature=0.0))
    for prompt, one in zip(PROMPTS, found, strict=True):
        assert one.tokens == slow_greedy(model, prompt, 20)


def test_prompts_read_in_several_passes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_llama()
    sampling = Sampling(max_tokens=20, temperature=0.0)
    whole = decode(model, TOKENIZER, PROMPTS, SEEDS, sampling)
    monkeypatch.setitem(decode.__globals__["PREFILL_TOKENS"], "cpu", 50)
    found = decode(model, TOKENIZER, PROMPTS, SEEDS, sampling)
    assert [one.tokens for one in found] == [one.tokens for one in whole]


def test_a_diverged_model_is_an_error_and_not_text() -> None:
    model = random_llama()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    for temperature in (0.0, 1.0):
        with pytest.raises(DataError, match="not finite"):
            decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(temperature=temperature))


def test_draws_that_cannot_be_made_stay_inside_the_table() -> None:
    rows = torch.full((2, 5), float("nan"))
    chosen = draw(rows, torch.tensor([0.1, 0.9], dtype=torch.float64), Sampling())
    assert all(0 <= token < 5 for token in chosen.tolist())


def test_training_goes_on_as_before() -> None:
    model = random_llama()
    model.train()
    decode(model, TOKENIZER, PROMPTS, SEEDS, Sampling(max_tokens=5))
    assert model.training
    model(torch.tensor([PROMPTS[0]])).logits.sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_nothing_to_do() -> None:
    model = random_llama()
    assert decode(model, TOKENIZER, [], [], Sampling()) == []
    found = decode(model, TOKENIZER, PROMPTS[:1], [1], Sampling(max_tokens=0))
    assert found == [Decoded([], "length", 0.0)]


SHOTS = TOKENIZER("Write an example of each task. Task: add. Input: 1 and 2. Output: 3. Now you: ")[
    "input_ids"
]
FEW_SHOT = [SHOTS + prompt for prompt in PROMPTS]


def windowed(window: int) -> MistralForCausalLM:
    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=257,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        sliding_window=window,
        initializer_range=0.2,
        eos_token_id=END,
        pad_token_id=0,
    )
    return MistralForCausalLM(config).eval()  # type: ignore[no-untyped-call, no-any-return]


def absolute() -> GPT2LMHeadModel:
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=257, n_positions=256, n_embd=32, n_layer=2, n_head=4)
    config.initializer_range = 0.5
    return GPT2LMHeadModel(config).eval()  # type: ignore[no-untyped-call, no-any-return]


@pytest.mark.parametrize("make", [random_llama, absolute, lambda: windowed(200)])
@pytest.mark.parametrize("budget", [1024, 60])
def test_a_shared_beginning_is_read_once_and_changes_nothing(
    make: Any,  # noqa: ANN401
    budget: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make()
    monkeypatch.setitem(decode.__globals__["PREFILL_TOKENS"], "cpu", budget)
    assert shared_tokens(FEW_SHOT) == len(SHOTS) > SHARED_AT_LEAST
    read: list[int] = []
    model.register_forward_pre_hook(
        lambda _, args, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    state = prefill(model, FEW_SHOT, 20)
    # all in one pass are padded to the longest; in several passes less is padded
    padded = len(SHOTS) + len(PROMPTS) * max(map(len, PROMPTS))
    bare = len(SHOTS) + sum(map(len, PROMPTS))
    assert sum(read) == padded if budget == 1024 else bare <= sum(read) < padded
    assert state.growing
    for row, prompt in enumerate(FEW_SHOT):
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(state.logits[row], expected, atol=1e-4, rtol=1e-4)
    found = decode(model, TOKENIZER, FEW_SHOT, SEEDS, Sampling(max_tokens=20, temperature=0.0))
    for prompt, one in zip(FEW_SHOT, found, strict=True):
        assert one.tokens == slow_greedy(model, prompt, 20)


@pytest.mark.parametrize("make", [random_llama, absolute, lambda: windowed(200)])
def test_groups_with_their_own_beginnings_change_nothing(make: Any) -> None:  # noqa: ANN401
    """Two tasks with long definitions, asked twice and three times, and prompts that share none."""
    model = make()
    other = [token % 200 + 3 for token in range(70)]
    prompts = [
        [*SHOTS, *PROMPTS[0]], PROMPTS[1], [*other, *PROMPTS[0]], [*SHOTS, *PROMPTS[2]],
        [*other, *PROMPTS[1]], PROMPTS[0], [*SHOTS, *PROMPTS[1]],
    ]  # fmt: skip
    read: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _, args, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    state = prefill(model, prompts, 12)
    handle.remove()
    assert sum(read) < sum(map(len, prompts)) - 2 * len(SHOTS)
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([prompt])).logits[0, -1]
        torch.testing.assert_close(state.logits[row], expected, atol=1e-4, rtol=1e-4)
    found = decode(
        model, TOKENIZER, prompts, list(range(7)), Sampling(max_tokens=12, temperature=0.0)
    )
    for prompt, one in zip(prompts, found, strict=True):
        assert one.tokens == slow_greedy(model, prompt, 12)


def test_groups_are_made_where_they_spare_something() -> None:
    task, other = list(range(100)), list(range(500, 570))
    prompts = [[*task, 1], [9], [*other, 1], [*task, 2, 3], [*other, 2], [8, 7]]
    assert shared_groups(prompts, 64) == [([0, 3], 100), ([2, 4], 70), ([1, 5], 0)]
    assert shared_groups(prompts, 90) == [([0, 3], 100), ([1, 2, 4, 5], 0)]
    assert shared_groups([[1]], 64) == [([0], 0)]


def test_batches_keep_a_beginning_together() -> None:
    task = list(range(64))
    prompts = [[5] * 70, [*task, *range(20)], [1, 2], [*task, 9], [6] * 80, [*task, 1, 2]]
    # by length: 2, 65 to 84 with the task's beginning as long as its longest, 70, 80
    assert batch_order(prompts, range(6)) == [2, 0, 4, 3, 5, 1]
    assert batch_order(prompts, [4, 2, 0]) == [2, 0, 4]


def test_choices_after_a_shared_beginning() -> None:
    model = random_llama()
    texts = [TOKENIZER(choice)["input_ids"] for choice in ("Yes", "No", "Yesterday")]
    scores = score_continuations(model, FEW_SHOT, texts)
    for row, prompt in zip(scores.tolist(), FEW_SHOT, strict=True):
        for score, text in zip(row, texts, strict=True):
            assert score == pytest.approx(slow_logprob(model, prompt, text), abs=1e-3)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([list(range(100))], 0),  # nobody to share with
        ([list(range(100)), list(range(100))], 99),  # the last token is always read anew
        ([list(range(100)), [*range(70), 500]], 70),
        ([list(range(100)), [*range(63), 500]], 0),
        ([[1, 2], [1, 3]], 0),
        ([[*range(80), 5], [*range(90)], [*range(80), 1, 2]], 80),
    ],
)
def test_how_much_is_shared(prompts: list[list[int]], expected: int) -> None:
    assert shared_tokens(prompts) == expected


def test_a_window_that_is_reached_reads_every_prompt_as_it_is() -> None:
    model = windowed(40)
    assert not prefill(model, FEW_SHOT, 20).growing
