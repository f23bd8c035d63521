"""Prompts, byte by byte."""

import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.evaluation.prompts import NAMES, closed, render_prompt


def test_tk_instruct_adds_missing_dots() -> None:
    assert render_prompt("tk_instruct", " Sort the words ", "pear fig\n") == (
        "Definition: Sort the words.\n"
        "\n"
        "Now complete the following example -\n"
        "Input: pear fig.\n"
        "Output:"
    )


def test_tk_instruct_keeps_final_punctuation_and_closes_an_empty_input() -> None:
    assert render_prompt("tk_instruct", "Is it so?", "").endswith(
        "so?\n\n" + ("Now complete the following example -\nInput: .\nOutput:")
    )


def test_plain() -> None:
    assert render_prompt("plain", "Sort.", "b a") == "Instruction: Sort.\nInput: b a\nOutput:"
    assert render_prompt("plain", "Sort.", " ") == "Instruction: Sort.\nOutput:"


def test_alpaca() -> None:
    assert render_prompt("alpaca", "Sort.", "b a") == (
        "Below is an instruction that describes a task, paired with an input that provides further"
        " context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSort.\n\n### Input:\nb a\n\n### Response:"
    )
    assert render_prompt("alpaca", "Sort.", "") == (
        "Below is an instruction that describes a task. Write a response that appropriately"
        " completes the request.\n\n### Instruction:\nSort.\n\n### Response:"
    )


@pytest.mark.parametrize("name", NAMES)
def test_text_is_data_and_not_template_or_html(name: str) -> None:
    hostile = "{{ 7 * 7 }} <b>&amp;</b> {% raw %}"
    assert hostile in render_prompt(name, hostile, hostile)


def test_closed_looks_at_ascii_punctuation_only() -> None:
    assert [closed("a"), closed("a)"), closed("好。"), closed("")] == ["a.", "a)", "好。.", "."]


def test_own_template_and_mistakes() -> None:
    assert render_prompt("Q {{ input }} A", "x", "y") == "Q y A"
    with pytest.raises(ParameterError, match=r"must be one of: tk_instruct.*Did you mean 'alpaca'"):
        render_prompt("alpacca", "x", "y")
    with pytest.raises(ParameterError, match="'inputs' is undefined"):
        render_prompt("{{ inputs }}", "x", "y")
    with pytest.raises(ParameterError, match="access to attribute"):
        render_prompt("{{ input.__class__.__mro__ }}", "x", "y")
