from pathlib import Path

import pytest

from embedded_model.render import OPERATIONS, VALID_QUESTION, rewrite_prompt
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.evolve.operators import PACKAGED, load_operators, parse_mix, render


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = PACKAGED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").split("\n")
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_the_plain_prompts_are_those_that_the_embedded_model_was_trained_on() -> None:
    operators = load_operators()
    assert operators.names == OPERATIONS
    for place, name in enumerate(OPERATIONS):
        found = operators.prompt("plain", place, "Name a bird.", "unused")
        assert found == rewrite_prompt(name, "Name a bird.")
    assert render("review_plain", first="a", second="b") == (
        f"Task A: a\nTask B: b\nQuestion: {VALID_QUESTION}\nAnswer:"
    )


def test_the_input_is_in_the_instruct_prompt_only_where_there_is_one() -> None:
    operators = load_operators()
    assert "4, 8, 15" in operators.prompt("instruct", 1, "Sort.", "4, 8, 15")
    assert "input" not in operators.prompt("instruct", 1, "Sort.", "")


def test_the_few_shot_prompt_shows_the_worked_rewrites_of_the_operator_alone() -> None:
    prompt = load_operators().prompt("few_shot", 0, "Name a bird.", "heron, stork")
    assert prompt.startswith("Rewriting of instructions. Write a different instruction from the")
    assert prompt.endswith(
        "Instruction: Write a poem about the sea.\n"
        "Rewritten: Write a limerick about a lighthouse keeper.\n\n"
        "Instruction: Name a bird.\nInput: heron, stork\nRewritten:"
    )
    assert "bakery" not in prompt


def test_a_file_for_few_shot_needs_its_prompt_and_examples_of_every_operator(
    tmp_path: Path,
) -> None:
    load_operators().refuse_style("few_shot", "builtin:operators")
    text = PACKAGED.read_text(encoding="utf-8")
    begin, end = text.index("  # for base models"), text.index("operators:\n  - name")
    path = tmp_path / "own.yaml"
    path.write_text(text[:begin] + text[end:], encoding="utf-8")
    load_operators(path).refuse_style("instruct", "own.yaml")
    with pytest.raises(DataError, match=r"own\.yaml: prompts has no 'few_shot'"):
        load_operators(path).refuse_style("few_shot", "own.yaml")
    begin, end = text.index("    examples:\n"), text.index("  - name: add constraint")
    path.write_text(text[:begin] + text[end:], encoding="utf-8")
    with pytest.raises(DataError, match="operator 'breadth' has no examples"):
        load_operators(path).refuse_style("few_shot", "own.yaml")
    for old, new in (("before: ", "befor: "), ('before: "Explain', 'before: [a] # "')):
        with pytest.raises(DataError, match="examples must be a list of"):
            load_operators(changed(tmp_path, f"      - {old}", f"      - {new}"))


def test_the_digest_is_of_the_content_and_not_of_comments(tmp_path: Path) -> None:
    assert load_operators(changed(tmp_path, "# The", "# the")).digest == load_operators().digest
    other = changed(tmp_path, "at most twenty more", "at most thirty more")
    assert load_operators(other).digest != load_operators().digest


@pytest.mark.parametrize("name", ["instructoin", "config"])
def test_a_wrong_placeholder_is_refused_with_file_and_line(tmp_path: Path, name: str) -> None:
    path = changed(tmp_path, "    {{ instruction }}", "    {{ " + name + " }}")
    line = line_of(path, name + " }}")
    with pytest.raises(DataError, match=rf"own\.yaml:{line}: placeholder '{name}'"):
        load_operators(path)


def test_the_line_of_a_quoted_prompt_is_the_file_s_and_not_the_text_s(tmp_path: Path) -> None:
    path = changed(tmp_path, "Task: {{ instruction }}", "Task: {{ instrction }}")
    with pytest.raises(DataError, match=rf":{line_of(path, 'instrction')}: placeholder"):
        load_operators(path)


def test_a_placeholder_in_an_ask_would_reach_the_model_as_it_is_and_is_refused(
    tmp_path: Path,
) -> None:
    path = changed(tmp_path, "Put specific things", "Put {{ things }}")
    with pytest.raises(
        DataError, match=rf":{line_of(path, 'Put {{ things')}: ask must be plain text"
    ):
        load_operators(path)


def test_a_prompt_without_the_instruction_a_broken_template_and_a_missing_key(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="lacks the placeholder 'instruction'"):
        load_operators(changed(tmp_path, "\\nTask: {{ instruction }}", ""))
    path = changed(tmp_path, "{% endif %}", "{% fi %}")
    with pytest.raises(DataError, match=rf":{line_of(path, 'fi %')}: not a template"):
        load_operators(path)
    path = changed(tmp_path, "    keeps_input: false\n", "")
    with pytest.raises(DataError, match=rf":{line_of(path, 'name: breadth')}: an operator has"):
        load_operators(path)
    with pytest.raises(DataError, match="'deepen' is taken"):
        load_operators(changed(tmp_path, "name: concretise", "name: deepen"))


def test_a_template_cannot_reach_into_python(tmp_path: Path) -> None:
    path = changed(tmp_path, "    {{ instruction }}", "    {{ instruction.__class__.__mro__ }}")
    with pytest.raises(Exception, match="unsafe"):
        load_operators(path).prompt("instruct", 0, "a", "")


def test_shares_are_parsed_and_wrong_ones_refused() -> None:
    assert parse_mix("b=3, a=1", ["a", "b", "c"]) == (0.25, 0.75, 0.0)
    for text, message in (
        ("d=1", "unknown operator"),
        ("a=x", "name=weight"),
        ("a=-1", "weight"),
    ):
        with pytest.raises(ParameterError, match=message):
            parse_mix(text, ["a", "b"])
    with pytest.raises(ParameterError, match="above 0"):
        parse_mix("", ["a"])
