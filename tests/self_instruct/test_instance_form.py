"""One form of the request for instances: its prompt, its end, and how the answer is read."""

import pytest

from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.instance_form import Asked, InstanceForm, style_for
from refine_af.self_instruct.params import FORM, InstancesParams
from refine_af.self_instruct.prompts import render
from refine_af.stages.train_ppo import TrainPPOParams


@pytest.mark.parametrize(
    ("asked", "model", "style"),
    [
        ("auto", "builtin:tiny", "plain"),
        ("auto", "mistralai/Mistral-7B-v0.1", "few_shot"),
        ("plain", "mistralai/Mistral-7B-v0.1", "plain"),
        ("few_shot", "builtin:tiny", "few_shot"),
    ],
)
def test_which_style_a_model_is_asked_in(asked: Asked, model: str, style: str) -> None:
    assert style_for(asked, model) == style


def test_training_and_writing_ask_alike_where_nothing_is_said() -> None:
    trained, written = TrainPPOParams(), InstancesParams()
    assert all(getattr(trained, name) == getattr(written, name) for name in FORM)


def test_the_prompt_is_the_template() -> None:
    few = InstanceForm("few_shot").prompt(" Sort the words. ")
    assert few == render("few_shot_input_first", instruction="Sort the words.")
    assert few.endswith("Task: Sort the words.\n")
    plain = InstanceForm("plain").prompt("Sort the words.", "output_first")
    assert plain == render("instance_output_first", instruction="Sort the words.")


def test_a_few_shot_answer_ends_behind_the_instances_that_are_wanted() -> None:
    assert InstanceForm("few_shot").stop == ("\nExample 2", "\nTask:", "\nClass label:")
    assert InstanceForm("few_shot", instances=5).stop == ("\nExample 6", "\nTask:")
    published = InstanceForm("few_shot", instances=5, published=True)
    assert published.stop == ("Example 6", "Task:")
    assert InstanceForm("plain", instances=5).stop == ("\nInstruction:",)
    assert InstanceForm("plain").stop == ("\nInstruction:", "\nClass label:")


def test_answers_are_read_by_their_form() -> None:
    few, plain = InstanceForm("few_shot"), InstanceForm("plain")
    answer = "Example 1\nInput: b a\nOutput: a b\n"
    assert few.drafts(answer, "stop") == [Draft("b a", "a b")]
    assert few.drafts(answer, "length") == [Draft("b a", "a b", "truncated")]
    assert few.drafts("no", "stop") == [Draft("", "no", "unparseable")]
    # the plain form has no examples: the word does not split the answer
    assert plain.drafts("Input: Example 1\nOutput: x", "stop") == [Draft("Example 1", "x")]
    assert plain.drafts("Input: b\nOutput: x", "length") == [Draft("b", "x", "truncated")]
