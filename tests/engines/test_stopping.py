from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_engine import END, byte_tokenizer
from transformers import AutoTokenizer

from refine_af.engines.models import resolve_model
from refine_af.engines.stopping import completion_text, cut, stop_triggers

BYTES = byte_tokenizer()
FIXTURE = AutoTokenizer.from_pretrained(resolve_model("builtin:fixture"))
STOPS = ("\n3.", "Input:", "é", "東京", "\n\n", "e w", "o")


@given(
    st.lists(st.sampled_from([*STOPS, "word ", "\n", "3", " how", ".", "Ü", "京"]), max_size=12),
    st.sampled_from(STOPS),
)
@settings(max_examples=150, deadline=None)
def test_every_token_that_completes_a_stop_text_is_a_trigger(parts: list[str], stop: str) -> None:
    for tokenizer in (BYTES, FIXTURE):
        triggers = stop_triggers(tokenizer, (stop,))
        tokens = tokenizer("".join(parts), add_special_tokens=False)["input_ids"]
        seen = 0
        for end in range(1, len(tokens) + 1):
            text = completion_text(tokenizer, [], tokens[:end])
            if text.count(stop) > seen:
                seen = text.count(stop)
                assert triggers is not None
                assert tokens[end - 1] in triggers


def test_few_tokens_are_triggers() -> None:
    triggers = stop_triggers(FIXTURE, ("\n3.",))
    assert triggers is not None
    assert len(triggers) < len(FIXTURE) / 4
    assert stop_triggers(FIXTURE, ("Output: ",)) is None, "a space may hide in any token"


@pytest.mark.parametrize("tokenizer", [BYTES, FIXTURE])
def test_text_continues_the_prompt(tokenizer: Any) -> None:  # noqa: ANN401
    whole = "Zürich, 東京 and \U0001f600 too"
    tokens = tokenizer(whole, add_special_tokens=False)["input_ids"]
    for border in range(1, len(tokens)):
        head = tokenizer.decode(tokens[:border])
        if "\ufffd" not in head:
            rest = completion_text(tokenizer, tokens[:border], tokens[border:])
            assert head + rest == whole


def test_special_tokens_leave_no_text_and_broken_bytes_are_marked() -> None:
    tokens = BYTES("aé")["input_ids"]
    assert completion_text(BYTES, tokens, [*BYTES("b")["input_ids"], END]) == "b"
    assert completion_text(BYTES, BYTES("a")["input_ids"], tokens[1:2]) == "\ufffd"


def test_the_earliest_stop_text_cuts() -> None:
    assert cut("one two three", ("three", "two")) == "one "
    assert cut("one", ("x",)) == "one"
    assert cut("one", ()) == "one"
    assert cut("stop", ("stop",)) == ""
