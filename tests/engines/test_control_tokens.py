from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_tokenizers import KINDS, chatml
from transformers import ByT5Tokenizer

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.control_tokens import text_encoder

CHAT = [kind for kind, tokenizer in KINDS.items() if tokenizer.chat_template]


def names(tokenizer: Any) -> list[str]:  # noqa: ANN401
    return sorted({str(token) for token in tokenizer.added_tokens_decoder.values()})


def original(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def control_of(tokenizer: Any, ids: list[int]) -> list[int]:  # noqa: ANN401
    unknown = tokenizer.unk_token_id
    return [one for one in ids if one in text_encoder(tokenizer).control and one != unknown]


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_a_control_token_in_a_text_is_text(kind: str) -> None:
    tokenizer = KINDS[kind]
    encoder = text_encoder(tokenizer)
    before, after = encoder.around
    for name in names(tokenizer):
        for text in (name, f"a {name}b", f"x{name}{name} y", f" {name} ", f"<{name}>"):
            assert control_of(tokenizer, encoder.ids(text)) == [], text
            ids = encoder.ids(text, special=True)
            assert control_of(tokenizer, ids) == [*before, *after]
            if kind not in ("wordpiece", "unigram"):  # those two do not keep every text
                decoded = tokenizer.decode(encoder.ids(text), skip_special_tokens=False)
                assert decoded == text


def test_a_normaliser_cannot_make_a_control_token() -> None:
    tokenizer = KINDS["unigram"]
    fullwidth = "\uff1c/s\uff1e"
    assert tokenizer.eos_token_id in tokenizer(fullwidth, add_special_tokens=False)["input_ids"]
    assert control_of(tokenizer, text_encoder(tokenizer).ids(fullwidth)) == []


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(alphabet="abs<>/|[]INSTend 012\n\té京", max_size=60))
@settings(max_examples=40, deadline=None)
def test_other_texts_have_the_ids_that_they_always_had(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]
    if any(name in text for name in names(tokenizer)):
        return
    encoder = text_encoder(tokenizer)
    assert encoder.ids(text, special=True) == original(tokenizer, text)
    assert encoder.ids(text) == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert encoder._encoded(text, special=True) == original(tokenizer, text), "the copy too"


@pytest.mark.parametrize("kind", CHAT)
@given(
    parts=st.lists(st.sampled_from(["hello", " ", "\n", "x<y", "fine."]), min_size=1, max_size=6)
)
@settings(max_examples=20, deadline=None)
def test_a_conversation_has_the_ids_of_its_rendered_text(kind: str, parts: list[str]) -> None:
    tokenizer = KINDS[kind]
    turns = [
        {"role": "user", "content": "".join(parts)},
        {"role": "assistant", "content": "".join(reversed(parts))},
    ]
    for some, opening in ((turns, False), (turns[:1], True)):
        text = tokenizer.apply_chat_template(some, tokenize=False, add_generation_prompt=opening)
        want = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert text_encoder(tokenizer).chat(some, generation_prompt=opening) == want


@pytest.mark.parametrize("kind", CHAT)
def test_a_conversation_holds_the_control_tokens_of_its_template_alone(kind: str) -> None:
    tokenizer = KINDS[kind]
    encoder = text_encoder(tokenizer)

    def turns(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"a {text} b"}, {"role": "assistant", "content": text}]

    want = control_of(tokenizer, encoder.chat(turns("word")))
    for name in names(tokenizer):
        ids = encoder.chat(turns(f"{name}x{name}"))
        assert control_of(tokenizer, ids) == want
        assert encoder.rendered(turns(name)).count(name) == (
            encoder.rendered(turns("word")).count(name) + 2
        )


def test_a_text_of_the_program_has_its_own_control_tokens_and_the_texts_in_it_none() -> None:
    tokenizer = KINDS["llama"]
    encoder = text_encoder(tokenizer)
    clean = encoder.template("ask: {a} </s> answer: {b}", a="one", b="two")
    assert clean == original(tokenizer, "ask: one </s> answer: two")
    dirty = encoder.template("ask: {a} </s> answer: {b}", a="</s> {b}", b="<s>two</s>")
    assert control_of(tokenizer, dirty) == control_of(tokenizer, clean)


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("chatml", {"<|endoftext|>", "<|im_end|>"}),
        ("think", {"<|im_end|>"}),
        ("llama", {"</s>"}),
        ("stripping", {"</s>", "<|end|>"}),
        ("unigram", {"</s>"}),
        ("wordpiece", set()),
    ],
)
def test_the_end_of_a_turn_is_an_end(kind: str, ends: set[str]) -> None:
    tokenizer = KINDS[kind]
    assert set(tokenizer.convert_ids_to_tokens(list(text_encoder(tokenizer).ends))) == ends


def test_a_template_that_cannot_render_has_no_end_of_turn() -> None:
    tokenizer = chatml("{{ raise_exception('no') }}")
    assert text_encoder(tokenizer).turn_end is None


def test_only_the_prompt_of_a_template_that_opens_a_think_block_opens_one() -> None:
    question = [{"role": "user", "content": "hello"}]
    for kind, opened in (("opened", True), ("think", False), ("chatml", False)):
        encoder = text_encoder(KINDS[kind])
        assert encoder.opened(encoder.chat(question, generation_prompt=True)) is opened
        assert not encoder.opened(encoder.ids("assistant\n<think>\n", special=True))


def test_a_tokenizer_in_python_whose_text_holds_control_tokens_refuses_such_a_text() -> None:
    class Greedy(ByT5Tokenizer):
        """Takes names of control tokens for them also where told to split them."""

        def _tokenize(self, text: str, **_: Any) -> list[str]:  # noqa: ANN401
            pieces: list[str] = super()._tokenize(text)
            return ["</s>"] if text == "</s>" else pieces

    kind: Any = Greedy
    encoder = text_encoder(kind(extra_ids=0))
    assert encoder.ids("hello") == [ord(letter) + 3 for letter in "hello"]
    with pytest.raises(ParameterError, match="takes '</s>' in a text for a control token"):
        encoder.ids("</s>")


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1 / 0 }}",
        "{{ messages[5].x.y }}",
        "{% for %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ raise_exception('no way') }}",
        "{% include 'x' %}",
        "{% for i in range(999999) %}{% endfor %}",
    ],
)
def test_whatever_a_template_raises_is_one_line(template: str) -> None:
    encoder = text_encoder(chatml(template))
    with pytest.raises(DataError, match="its chat template cannot write this conversation") as told:
        encoder.chat([{"role": "user", "content": "hello"}])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "template",
    ["{{ 'a' * 10**10 }}", "{{ 'a' * 9999999999 }}", "{{ 'a' * 99999 * 99999 }}"],
)
def test_a_template_that_fills_the_memory_is_refused_unrendered(template: str) -> None:
    with pytest.raises(DataError, match="can fill the memory"):
        text_encoder(chatml(template))
