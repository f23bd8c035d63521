import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.self_instruct.parse_instances import parse_instances
from refine_af.self_instruct.prompts import (
    Layout,
    Style,
    answer_opening,
    classification_prompt,
    instance_prompt,
    instructions_prompt,
    render,
)
from refine_af.self_instruct.sampling import (
    classification_sampling,
    instructions_sampling,
)


def test_instruction_list_ends_with_the_next_number() -> None:
    prompt = instructions_prompt(["Name a\n  colour:", "Sum <b> & {{ 7 * 7 }} up."])
    header, *lines = prompt.split("\n")
    assert header
    assert lines == ["1. Name a colour", "2. Sum <b> & {{ 7 * 7 }} up.", "3."]


def test_plain_prompts_are_the_form_that_the_embedded_model_knows() -> None:
    assert instance_prompt(" Say hi. ", "input_first") == "Instruction: Say hi.\n"
    assert instance_prompt("Say hi.", "output_first") == "Instruction: Say hi.\nClass label:"
    assert classification_prompt("Say hi.").startswith("Instruction: Say hi.\nQuestion:")
    assert classification_prompt("Say hi.").endswith("\nAnswer:")


@pytest.mark.parametrize("layout", ["input_first", "output_first"])
@pytest.mark.parametrize("style", ["plain", "few_shot"])
def test_answer_opening_is_the_part_of_the_answer_that_any_prompt_holds(
    layout: Layout, style: Style
) -> None:
    label = layout == "output_first" and style == "plain"
    assert answer_opening(layout, style) == ("Class label:" if label else "")
    for instruction in ("Say hi.", "Two\nlines", "Class label:", "x" * 5000):
        prompt = instance_prompt(instruction, layout, style)
        assert prompt.rpartition("\n")[2] == answer_opening(layout, style)


@pytest.mark.parametrize(("layout", "tasks"), [("input_first", 8), ("output_first", 8)])
def test_worked_tasks_parse_by_the_rules_that_answers_are_read_with(
    layout: str, tasks: int
) -> None:
    assert layout in ("input_first", "output_first")
    prompt = instance_prompt("Say hi.", layout, "few_shot")  # type: ignore[arg-type]
    assert prompt.endswith("\n\nTask: Say hi.\n")
    worked = prompt.split("\n\nTask: ")[1:-1]
    assert len(worked) == tasks
    for text in worked:
        _, _, answer = text.partition("\n")
        pairs = parse_instances(answer, "stop", layout)  # type: ignore[arg-type]
        assert len(pairs) == max(1, answer.count("Example "), answer.count("Class label:"))
        assert all(pair.reason is None and pair.output for pair in pairs)


def test_worked_questions_hold_both_answers() -> None:
    prompt = classification_prompt("Say hi.", "few_shot")
    assert prompt.count("Classification: Yes") == 6
    assert prompt.count("Classification: No") == 6
    assert prompt.endswith("Task: Say hi.\nClassification:")


def test_missing_value_or_template_is_an_error_that_names_it() -> None:
    with pytest.raises(ParameterError, match="instance_input_first: 'instruction' is undefined"):
        render("instance_input_first")
    with pytest.raises(ParameterError, match="'nothing' is not one of: chat_classification, "):
        render("nothing")
    with pytest.raises(ParameterError, match="is not one of"):
        render("../prompts")


def test_published_sampling() -> None:
    lists = instructions_sampling("self_instruct")
    assert (lists.temperature, lists.top_p, lists.presence_penalty) == (0.7, 0.5, 2.0)
    assert lists.max_tokens == 1024
    assert lists.stop == ("\n\n", "\n16", "16.", "16 .")
    assert instructions_sampling("small_lm", shown=3).stop[1] == "\n6"
    assert classification_sampling("few_shot").choices == (" Yes", " No")
    assert classification_sampling("chat").choices == ("Yes", "No")
    assert instructions_sampling("small_lm", chat=True).stop == ("\n17.",)
