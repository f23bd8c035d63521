from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_tokenizers import KINDS, chatml

from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.stopping import read_answer
from refine_af.engines.thinking import in_thinking, split_thinking


@pytest.mark.parametrize(
    ("text", "opened", "answer"),
    [
        ("<think>\n\n</think>\n\nHe walked.", False, "He walked."),
        ("\n<think>so\n\nit is</think>Yes", False, "Yes"),
        ("<think>never closed\n\nHe walked.", False, ""),
        ("<Thinking>a</thinking> b", False, "b"),
        ("[THINK]a[/THINK]b", False, "b"),
        ("<think>a</think><think>b</think>c", False, "c"),
        ("<think>a</thinking>b</think>c", False, "c"),
        ("<seed:think>a</seed:think>b", False, "b"),
        ("<thoughts>a</thoughts>\n\nb", False, "b"),
        ("\u25c1think\u25b7a\u25c1/think\u25b7b", False, "b"),
        ("\u25c1think\u25b7never closed", False, ""),
        ("<|START_THINKING|>a<|END_THINKING|>b", False, "b"),
        ("<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\nb", False, "b"),
        ("<|inner_prefix|>a<|inner_suffix|>b", False, "b"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            False,
            "b",
        ),
        ("a<|END_THINKING|>b", None, "b"),
        ("<|START_THINKING|>a</think>b", False, ""),
        ("List: [1, 2] <b>", False, "List: [1, 2] <b>"),
        ("so it is</think>\n\nYes", True, "Yes"),
        ("so it is, and on", True, ""),
        ("so it is</think>\n\nYes", None, "Yes"),
        ("plain", None, "plain"),
        ("so it is</think>\n\nYes", False, "so it is</think>\n\nYes"),
        ("Use <think> in XML: <think>x</think>", None, "Use <think> in XML: <think>x</think>"),
        ("<thinker>a</thinker>", False, "<thinker>a</thinker>"),
        ("", False, ""),
        # one block inside another
        ("<think>a <think>b</think> c</think>d", False, "d"),
        ("<think>I may use <think> here</think>d", False, "d"),
        ("a <think>b</think> c</think>d", True, "d"),
        ("<think>a</think> b <think>c</think> d", True, "b <think>c</think> d"),
        ("<think>a</think>b: </think> closes it", False, "b: </think> closes it"),
        # other names and forms
        ("<think >a</think >b", False, "b"),
        ('<think effort="low">a</think>b', False, "b"),
        ("<mm:think>a</mm:think>b", False, "b"),
        ("<longcat_think>a</longcat_think>b", False, "b"),
        ("<think_fast>a</think_fast>b", False, "b"),
        ("<scratchpad>a</scratchpad>b", False, "b"),
        ("<reflection>a</reflection>b", False, "b"),
        ("<inner_thoughts>a</inner_thoughts>b", False, "b"),
        ("<|think|>a<|/think|>b", False, "b"),
        ("<|thinking_start|>a<|thinking_end|>b", False, "b"),
        (
            "<\uff5cbegin\u2581of\u2581thinking\uff5c>a<\uff5cend\u2581of\u2581thinking\uff5c>b",
            False,
            "b",
        ),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", False, "b"),
        (
            "<|channel|>commentary to=user<|message|>a<|end|><|start|>assistant<|channel|>final"
            " <|constrain|>json<|message|>b",
            False,
            "b",
        ),
        ("<rethink_it>a</rethink_it>", False, "<rethink_it>a</rethink_it>"),
    ],
)
def test_a_leading_think_block_is_no_part_of_the_answer(
    text: str, opened: bool | None, answer: str
) -> None:
    thinking, found = split_thinking(text, opened)
    assert found == answer
    assert thinking + found == text


@given(st.text(alphabet="<>/thinka\n ", max_size=40), st.sampled_from([True, False, None]))
def test_nothing_is_lost(text: str, opened: bool | None) -> None:
    assert "".join(split_thinking(text, opened)) == text


def test_a_block_is_open_until_it_is_closed() -> None:
    assert in_thinking("<think>a\n\n")
    assert in_thinking("", opened=True)
    assert not in_thinking("<think>a</think>\n\n")
    assert not in_thinking("<think>a</think> b")
    assert not in_thinking("plain\n\n")


def ids(tokenizer: Any, text: str) -> list[int]:  # noqa: ANN401
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_a_stop_text_counts_behind_the_think_block_only() -> None:
    tokenizer = KINDS["think"]
    wrote = ids(tokenizer, "<think>\n\n</think>\n\nHe walked.\n\nHe ran.")
    found = read_answer(tokenizer, [], wrote, ("\n\n",))
    assert found.text == "He walked."
    assert found.thinking == "<think>\n\n</think>\n\n"
    assert found.stopped
    assert not read_answer(tokenizer, [], ids(tokenizer, "<think>a\n\nb"), ("\n\n",)).stopped


def test_what_follows_a_prompt_that_opens_the_block_is_thought() -> None:
    tokenizer = KINDS["opened"]
    question = [{"role": "user", "content": "hello"}]
    prompt = text_encoder(tokenizer).chat(question, generation_prompt=True)
    found = read_answer(tokenizer, prompt, ids(tokenizer, "so\n\n</think>\n\nYes"), ("\n\n",))
    assert (found.text, found.stopped) == ("Yes", False)
    assert read_answer(tokenizer, [], ids(tokenizer, "so\n\nYes"), ("\n\n",)).text == "so"


def test_marks_that_are_special_tokens_are_seen() -> None:
    tokenizer = chatml()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    wrote = ids(tokenizer, "[THINK]so[/THINK] Yes<|im_end|>")
    found = read_answer(tokenizer, [], wrote, ())
    assert (found.thinking, found.text) == ("[THINK]so[/THINK] ", "Yes")
