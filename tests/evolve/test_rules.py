import pytest
from scripted_world import DEEPER, PARENT

from refine_af.engines.text import Completion, Finish
from refine_af.evolve.params import EvolutionParams
from refine_af.evolve.rules import (
    REASONS,
    broken_answer,
    broken_rule,
    instruction_alone,
    main_script,
)

FORBIDDEN = ("new task:",)


def reason(text: str, finish: Finish = "stop", parent: str = PARENT) -> str:
    answer = Completion("1", text, finish, 1, 1, error="down" if finish == "error" else "")
    found = broken_rule(
        answer,
        [PARENT, parent],
        ["The Rhine, the Elbe and the Danube."],
        FORBIDDEN,
        EvolutionParams(min_words=3, max_words=40),
    )
    assert found is None or found.reason in REASONS
    return found.reason if found else ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEEPER, ""),
        ("", "empty"),
        (" \n", "empty"),
        ("Sorry, I cannot do that for you.", "refusal"),
        ("New task: name three lakes in Germany.", "template_words"),
        ("... , it is of the !", "only_stop_words"),
        ("Name lakes.", "too_short"),
        ("Name " + "long " * 40, "too_long"),
        ("Name three rivers that flow through GERMANY", "unchanged"),
        ("Answer: Rhine, Elbe and Danube", "answered"),
        ("Output: 3 rivers of the land", "answered"),
        ("The Rhine, the Elbe and the Danube", "answered"),
        ("Назови три реки в этой стране", "language"),
        ("Name three rivers\x07 in France or Spain.", "unreadable"),
    ],
)
def test_each_rule(text: str, expected: str) -> None:
    assert reason(text) == expected


def test_cut_off_and_failed_requests() -> None:
    assert reason(DEEPER, "length") == "truncated"
    assert reason("", "error") == "engine_error"


def test_an_instruction_about_apologies_is_no_refusal() -> None:
    assert (
        reason("Write a letter that says sorry to two people.", parent="Write: I am sorry.") == ""
    )


def test_an_ancestor_counts_as_unchanged() -> None:
    assert reason(PARENT, parent=DEEPER) == "unchanged"


def test_answers_are_refused_by_wizardlm_s_rule_on_sorry_and_length() -> None:
    short = Completion("1", "I am sorry, but no.", "stop", 1, 1)
    long = Completion("1", "sorry " + "word " * 80, "stop", 1, 1)
    assert broken_answer(short) is not None
    assert broken_answer(long) is None


def test_scripts() -> None:
    assert main_script("abc де") == "LATIN"
    assert main_script("12 + 3") == ""
    assert main_script("中文 ab") == ""


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("### Instruction\nSort the words.", "Sort the words."),
        ("**Rewritten instruction:** Sort the words.", "Sort the words."),
        ("New instruction: Sort the words.", "Sort the words."),
        ("Sure! Here's a rewritten version:\n\nSort the words.", "Sort the words."),
        ("Here is the new instruction:\nInstruction: Sort the words.", "Sort the words."),
        ("“Sort the words.”", "Sort the words."),
        # the text itself begins like that
        ("Here is a list: sort it by length.", "Here is a list: sort it by length."),
        ("Task lists are long. Shorten this one.", "Task lists are long. Shorten this one."),
        ("Rewrite the sentence: It rains.", "Rewrite the sentence: It rains."),
        ('"Yes" or "no": is 7 prime', '"Yes" or "no": is 7 prime'),
        ("Sure is an adverb.\nSay which kind.", "Sure is an adverb.\nSay which kind."),
        # nothing is left behind it: the rules see what was written
        ("Here is the new instruction:", "Here is the new instruction:"),
        ("### Instruction", "### Instruction"),
        ("", ""),
    ],
)
def test_a_rewrite_alone(text: str, alone: str) -> None:
    assert instruction_alone(text) == alone
