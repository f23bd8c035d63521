from pathlib import Path
from typing import Any

import pytest
from tiny_sft import END, instance, save_random_model

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.records import Instance
from refine_af.evaluation.prompts import render_prompt
from refine_af.sft.base_model import load_tokenizer
from refine_af.sft.params import Template
from refine_af.sft.templates import MIX_WITH_INPUT, MIX_WITHOUT_INPUT, training_text


def row(input_text: str, *, parent: str = "ins-1", sample: int = 0) -> Instance:
    return Instance.make(
        parent, "Say it. ", input_text, " yes\n", is_classification=False, sample=sample
    )


def test_plain_is_the_prompt_of_the_evaluation_and_a_blank_before_the_answer() -> None:
    text = training_text(row(" now "), "plain", 1)
    assert text.prompt == "Instruction: Say it.\nInput: now\nOutput:"
    assert text.completion == " yes"
    assert training_text(row(""), "plain", 1).prompt == "Instruction: Say it.\nOutput:"


@pytest.mark.parametrize("template", ["plain", "alpaca"])
@pytest.mark.parametrize("input_text", ["", "two\nlines"])
def test_training_asks_as_the_evaluation_asks(template: Template, input_text: str) -> None:
    found = training_text(row(input_text), template, 1).prompt
    assert found == render_prompt(template, "Say it.", input_text)


def test_mix_draws_seven_forms_with_an_input_and_six_without() -> None:
    for input_text, forms in (("now", MIX_WITH_INPUT), ("", MIX_WITHOUT_INPUT)):
        expected = {
            form.replace("{{ instruction }}", "Say it.").replace("{{ input }}", "now")
            for form in forms
        }
        drawn = [
            training_text(row(input_text, parent=f"ins-{n}"), "mix", 3).prompt for n in range(400)
        ]
        assert set(drawn) == expected
        assert min(drawn.count(prompt) for prompt in expected) > 400 / len(forms) / 2
    assert (len(MIX_WITH_INPUT), len(MIX_WITHOUT_INPUT)) == (7, 6)


def test_the_prompt_of_the_evaluation_is_one_of_the_mix() -> None:
    assert training_text(row("now"), "plain", 1).prompt == MIX_WITH_INPUT[0].replace(
        "{{ instruction }}", "Say it."
    ).replace("{{ input }}", "now")


def test_mix_asks_paired_arms_alike_and_puts_a_blank_only_behind_a_field_name() -> None:
    for number in range(60):
        one, other = (
            Instance.make(f"i{number}", "Say it.", "now", answer, is_classification=False, sample=0)
            for answer in ("yes", "no")
        )
        first, second = training_text(one, "mix", 5), training_text(other, "mix", 5)
        assert first.prompt == second.prompt
        assert first.completion == (" yes" if first.prompt.endswith(":") else "yes")


def test_mix_drops_a_lonely_field_name_and_blank_lines_in_half_of_the_rows() -> None:
    drawn = [
        training_text(row("Text: a b\n\nc", parent=f"p{n}"), "mix", 1).prompt for n in range(400)
    ]
    tidy = [prompt for prompt in drawn if "Text:" not in prompt]
    assert all("a b\nc" in prompt for prompt in tidy)
    assert all("Text: a b\n\nc" in prompt for prompt in drawn if prompt not in tidy)
    assert 140 < len(tidy) < 260
    several = [training_text(row("A: x B: y", parent=f"p{n}"), "mix", 1).prompt for n in range(40)]
    assert all("A: x B: y" in prompt for prompt in several)


def test_chat_wraps_the_row_in_the_models_own_template(tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(str(save_random_model(tmp_path, chat=True)))
    text = training_text(row("now"), "chat", 1, tokenizer)
    assert text.prompt == "[user]Say it.\n\nnow[assistant]"
    assert text.completion == f"yes{END}"


def test_chat_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    tokenizer: Any = load_tokenizer(str(save_random_model(tmp_path)))
    with pytest.raises(ParameterError, match="no chat template; use plain, alpaca or mix"):
        training_text(instance(1), "chat", 1, tokenizer)


def test_a_chat_template_that_renders_an_answered_question_differently_is_refused(
    tmp_path: Path,
) -> None:
    tokenizer: Any = load_tokenizer(str(save_random_model(tmp_path)))
    tokenizer.chat_template = "{{ messages | length }}{{ messages[0].content }}"
    with pytest.raises(ParameterError, match="renders a question differently"):
        training_text(instance(1), "chat", 1, tokenizer)
