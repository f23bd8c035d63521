"""Instances as chat models write them."""

import pytest

from refine_af.self_instruct.chat_answers import parse_chat
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.instance_form import InstanceForm, style_for
from refine_af.self_instruct.prompts import Layout, instructions_prompt


@pytest.mark.parametrize(
    ("answer", "pair"),
    [
        ("Input: b a\nOutput: a b", ("b a", "a b")),
        ("Input: b a\n\nOutput:\na\nb", ("b a", "a\nb")),
        ("**Input:** b a\n**Output:** a b", ("b a", "a b")),
        ("### Input: b a\n### Answer: a b", ("b a", "a b")),
        ("- input 1: b a\n- output 1: a b\n- input 2: d\n- output 2: d", ("b a", "a b")),
        ("Sure! Here is one.\n\nInput: b a\nOutput: a b", ("b a", "a b")),
        ("Output: a b", ("", "a b")),
        ("Input: None\nOutput: a b", ("", "a b")),
        ('Input: "b a"\nOutput: "a b"', ("b a", "a b")),
        # an answer without labels is the output of a task that needs no input
        ("Toast it.\nOr feed ducks.", ("", "Toast it.\nOr feed ducks.")),
        ("The input: a word is no label in the middle.", None),
        ("### Input\nb a\n### Output\na b", ("b a", "a b")),
        ("**Input**\nb a\n\n**Output**\na b", ("b a", "a b")),
        ("Input\uff1a b a\nOutput\uff1a a b", ("b a", "a b")),
        ("\u00a0Input: b a\n\u00a0Output: a b", ("b a", "a b")),
        ("Input: b a\r\nOutput: a b\r\n", ("b a", "a b")),
        ("```\nInput: b a\nOutput: a b\n```", ("b a", "a b")),
        ("Input: b a\nOutput: a b\n\n**Example 2**\nInput: d\nOutput: e", ("b a", "a b")),
        ("**Example 1:**\n\nInput: b a\nOutput: a b", ("b a", "a b")),
        ('Input: b a\nOutput: She said "yes"', ("b a", 'She said "yes"')),
        ("Input: b a\nOutput: **bold** and __more__", ("b a", "**bold** and __more__")),
        ("**Output: a b**", ("", "a b")),
        # labels in code are text
        (
            "Output: def f():\n    Input: x\n    Output: y",
            ("", "def f():\n    Input: x\n    Output: y"),
        ),
        ("Input: b\nOutput:\n```\nInput: 5\n```", ("b", "```\nInput: 5\n```")),
    ],
)
def test_pairs_of_a_chat_model(answer: str, pair: tuple[str, str] | None) -> None:
    expected = Draft(*pair) if pair else Draft("", answer)
    assert parse_chat(answer, "stop", "input_first") == expected


@pytest.mark.parametrize(
    ("answer", "layout"),
    [
        ("Input: b a", "input_first"),  # a question without its answer
        ("Input: b a\nOutput:", "input_first"),
        ("", "input_first"),
        (" \n", "input_first"),
        ("Class label: good", "output_first"),
        ("It was a lovely stay.", "output_first"),
        ("Input: It was a lovely stay.", "output_first"),
    ],
)
def test_half_a_pair_is_of_no_use(answer: str, layout: Layout) -> None:
    assert parse_chat(answer, "stop", layout).reason == "unparseable"


@pytest.mark.parametrize(
    ("answer", "layout"),
    [
        ("Output: A: hi\nInput: see below\nB: hello", "input_first"),
        ("Input: a\nOutput: b\nOutput: c", "input_first"),
        ("Input: a\nOutput: Q: 2+2\nAnswer: 4", "input_first"),
        ("Input: x\nOutput: # Input: a\n# Output: b", "input_first"),
        ("This adds two numbers\nprint(1 + 2)\nOutput: 3", "input_first"),
        ("1. Input: x\n   Output: y", "input_first"),
        ("| Input: x | Output: y |", "input_first"),
        ("Class label: spam\nInput: Call me.\nAnswer: now", "output_first"),
    ],
)
def test_a_label_where_the_form_has_none_makes_the_pair_ambiguous(
    answer: str, layout: Layout
) -> None:
    draft = parse_chat(answer, "stop", layout)
    assert (draft.reason, draft.output) == ("ambiguous", answer)


def test_a_class_label_comes_with_an_input() -> None:
    answer = "Class label: good\nInput: It was a lovely stay."
    assert parse_chat(answer, "stop", "output_first") == Draft("It was a lovely stay.", "good")
    assert parse_chat(answer, "length", "output_first").reason == "truncated"
    assert parse_chat("Output: \x00", "stop", "input_first").reason == "unreadable"


def test_a_model_asked_through_its_template_is_asked_in_words() -> None:
    assert style_for("auto", "org/model", chat=True) == "chat"
    assert style_for("few_shot", "org/model", chat=True) == "few_shot"
    form = InstanceForm("chat")
    assert form.prompt("Sort the words.").endswith("\n\nTask: Sort the words.")
    assert form.drafts("Output: a b", "stop") == [Draft("", "a b")]
    prompt = instructions_prompt(["Sort the words:", "Name a river."], "chat")
    assert "1. Sort the words\n2. Name a river.\n" in prompt
    assert "Write 2 new tasks" in prompt
    assert prompt.endswith("numbered from 3 to 4.")
