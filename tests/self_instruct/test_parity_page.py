"""The page of the preset ``parity`` names the rows that differ, each tried here."""

import pytest

from refine_af.engines.text import Finish
from refine_af.generate import ROOT
from refine_af.self_instruct.instance_form import InstanceForm
from refine_af.self_instruct.parse_instances import parse_instances
from refine_af.self_instruct.parse_instructions import PUBLISHED, parse_instructions
from refine_af.self_instruct.prompts import Layout

POEM, TIDES = "Write a short poem about rain.", "Explain the tides to a child."
TWO = f"9. {POEM}\n10. {TIDES}"
LISTS = {
    "talk before a list": f"Sure! Here are two:\n{TWO}",
    "talk behind a list": f"{TWO}\n\nLet me know if you need more.",
    "`10)`, `**11.**`, `12.Name` or bullets as marks": f"9. {POEM}\n10) {TIDES}\n**11.** {POEM}",
    "a numbered list inside an instruction, without an indent": (
        f"9. Rank:\n1. {TIDES}\n2. {POEM}\n10. {POEM}"
    ),
    "`Input:` or `Output:` inside an instruction": f"9. Turn it.\nInput: yes it is\n10. {POEM}",
    "a refusal in place of a list": "I'm sorry, but I can't help with that.",
    "capitals inside an instruction": "9. Name a river of Asia and NATO.",
    "a list that was cut off": TWO,
}
INSTANCES = {
    "`Output:` in the middle of a line": "Input: a\nOutput: It prints Output: 3.",
    "`Output:` in a block of code": "Input: a\nOutput:\n```\nOutput: 3\n```",
    "a second `Output:`": "Input: a\nOutput: b\nOutput: c",
    "`Example` in the middle of a line": "Input: a\nOutput: For Example 2 see b.",
    "an unnumbered `Example` behind an output": "Input: a\nOutput: b\nExample: c",
    "`Class label:` in the middle of a line": "Class label: yes\nIt said Class label: no",
}
STOPPED = "`Task:` in the middle of a line"
PAGE = (ROOT / "refine_af" / "pipelines" / "README.md").read_text(encoding="utf-8")


def rows_of_the_page() -> list[str]:
    start = PAGE.index("| an answer holds |")
    lines = PAGE[start:].split("\n\n")[0].split("\n")[2:]
    return [line.split("|")[1].strip() for line in lines if line.startswith("|")]


def test_the_page_names_what_is_tried_here() -> None:
    assert rows_of_the_page() == [*LISTS, *INSTANCES, STOPPED]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_read_in_two_ways(name: str) -> None:
    finish: Finish = "length" if name == "a list that was cut off" else "stop"
    ours = [piece.text for piece in parse_instructions(LISTS[name], finish) if not piece.reason]
    theirs = [
        piece.text
        for piece in parse_instructions(LISTS[name], finish, PUBLISHED)
        if not piece.reason
    ]
    assert ours != theirs


@pytest.mark.parametrize("name", INSTANCES)
def test_instances_are_read_in_two_ways(name: str) -> None:
    layout: Layout = "output_first" if "Class label" in name else "input_first"
    ours, theirs = (
        parse_instances(INSTANCES[name], "stop", layout, published=published)
        for published in (False, True)
    )
    assert ours != theirs
    assert [draft for draft in theirs if not draft.reason]


def test_an_answer_is_stopped_in_two_ways() -> None:
    ours, theirs = (InstanceForm("few_shot", 2, published).stop for published in (False, True))
    assert "Task:" in theirs
    assert "Task:" not in ours
    assert "\nTask:" in ours


def test_a_usual_answer_is_read_in_one_way() -> None:
    assert [piece.text for piece in parse_instructions(TWO, "stop")] == [POEM, TIDES]
    assert [piece.text for piece in parse_instructions(TWO, "stop", PUBLISHED)] == [
        f"9. {POEM.lower()}",
        TIDES,
    ]
    answer = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutput: d"
    ours, theirs = (
        parse_instances(answer, "stop", "input_first", published=published)
        for published in (False, True)
    )
    assert ours == theirs
