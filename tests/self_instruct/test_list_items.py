import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.self_instruct.parse_instructions import PUBLISHED, parse_instructions

POEM, TIDES = "Write a short poem about rain.", "Explain the tides to a child."


def kept(completion: str) -> list[str]:
    return [piece.text for piece in parse_instructions(completion, "stop") if not piece.reason]


def dropped(completion: str) -> list[tuple[str | None, str]]:
    pieces = parse_instructions(completion, "stop")
    return [(piece.reason, piece.text) for piece in pieces if piece.reason]


@pytest.mark.parametrize(
    "marks",
    [
        ("9. ", "10. "),
        ("9) ", "10) "),
        ("(9) ", "(10) "),
        ("**9.** ", "**10.** "),
        ("9.", "10."),
        ("9 . ", "10 . "),
        ("9: ", "10: "),
        ("#9. ", "#10. "),
        ("### 9. ", "### 10. "),
        ("Task 9: ", "Task 10: "),
        ("- ", "- "),
        ("* ", "* "),
        ("\u2022 ", "\u2022 "),
        ("1. ", "2. "),
        (" 9. ", " 10. "),
        ("9. **", "10. **"),
        ("9. Task: ", "10. Instruction: "),
        ("9 - ", "10 - "),
        ("9 \u2013 ", "10 \u2013 "),
        ("**Task 9:** ", "**Task 10:** "),
        ("### Task 9\n", "### Task 10\n"),
        ("9\u3001", "10\u3001"),
        ("\uff19\uff0e", "\uff11\uff10\uff0e"),
        ("9\ufe0f\u20e3 ", "10\ufe0f\u20e3 "),
        ("\u2460 ", "\u2461 "),
        ("\u25aa ", "\u25aa "),
        ("- [ ] ", "- [x] "),
        ("a) ", "b) "),
        ("A. ", "B. "),
        ("(i) ", "(ii) "),
    ],
)
@pytest.mark.parametrize(
    "before",
    ["", "Sure! Here are eight more tasks for you:\n\n", "Here's the list:\n", "Got it. Two:\n"],
)
@pytest.mark.parametrize(
    "after",
    [
        "",
        "\n\nLet me know if you need more!",
        "\nFeel free to ask for more.",
        "\n\nThese should help you.",
        "\n---\nWould you like more?",
    ],
)
def test_the_usual_marks_and_the_talk_around_them(
    marks: tuple[str, str], before: str, after: str
) -> None:
    ends = ["**" if mark.endswith(" **") else "" for mark in marks]
    text = f"{before}{marks[0]}{POEM}{ends[0]}\n{marks[1]}{TIDES}{ends[1]}{after}"
    assert kept(text) == [POEM, TIDES]
    assert [reason for reason, _ in dropped(text)] == ["chatter"] * (bool(before) + bool(after))


def test_the_list_of_a_base_model_goes_on_inside_an_item() -> None:
    assert kept(f" {POEM}\n10. {TIDES}") == [POEM, TIDES]
    assert kept(f" {POEM}\n10) {TIDES}\n11.{POEM}") == [POEM, TIDES, POEM]
    assert kept(" Write with these words:\n- sun\n- moon\n10. Explain why it rains") == [
        "Write with these words: - sun - moon",
        "Explain why it rains",
    ]


def test_a_number_in_a_line_or_before_a_digit_is_no_mark() -> None:
    text = "9. Add 12.5 grams\n3.14 is given, 10. is not\n10:30 is the time"
    assert kept(text) == ["Add 12.5 grams 3.14 is given, 10. is not 10:30 is the time"]


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (f"9. Rank these for me:\n1. plums\n2. pears\n10. {POEM}", "ambiguous"),
        (f" Rank these for me:\n1. plums\n2. pears\n10. {POEM}", "ambiguous"),
        (f"9. Turn it into French.\nInput: yes\nOutput: oui\n10. {POEM}", "ambiguous"),
        (f"9. Turn it into French.\n**Example:** yes\n10. {POEM}", "ambiguous"),
    ],
)
def test_what_can_be_read_in_two_ways_is_dropped_whole(completion: str, reason: str) -> None:
    assert kept(completion) == [POEM]
    assert [found for found, _ in dropped(completion)] == [reason]


def test_an_indented_list_belongs_to_its_item() -> None:
    assert kept(f"9. Rank these for me:\n   1. plums\n   2. pears\n10. {POEM}") == [
        "Rank these for me: 1. plums 2. pears",
        POEM,
    ]


def test_talk_without_marks_leaves_one_line_or_an_ambiguous_piece() -> None:
    assert kept(f"Sure! Here is one:\n{POEM}") == [POEM]
    assert dropped(f"Here are two:\n{POEM}\n{TIDES}") == [
        ("chatter", "Here are two:"),
        ("ambiguous", f"{POEM} {TIDES}"),
    ]
    # an instruction may begin with such a word
    assert kept("Here is a story, continue it.") == ["Here is a story, continue it."]


def test_a_list_in_a_block_of_code_is_read() -> None:
    assert kept(f"```\n9. {POEM}\n10. {TIDES}\n```") == [POEM, TIDES]
    assert kept(f"9. {POEM}\n10. {TIDES}\n```") == [POEM, TIDES]


def test_a_refusal_is_no_instruction() -> None:
    for text in ("I'm sorry, but I can't help with that.", "As an AI I am unable to do so."):
        assert dropped(text) == [("chatter", text)]
    assert kept("Apologise to a friend whom you can't visit.")


@pytest.mark.parametrize(
    "text",
    [
        "Choose the right answer:\na) Paris\nb) Rome",  # what an item offers, not a list of items
        "Work out by hand:\n12 - 5",
        "Say what is missing:\nA. Bach\nC. Debussy",
        "Keep a diary of it.\nNote: one page at most.",
    ],
)
def test_what_only_looks_like_a_list_stays_whole(text: str) -> None:
    for before in ("", "9. "):
        assert kept(before + text) == [" ".join(text.split())]


def test_the_published_rules_split_as_published() -> None:
    text = f"Sure! Here they are:\n\n9. {POEM}\n10) {TIDES}"
    found = [piece.text for piece in parse_instructions(text, "stop", PUBLISHED)]
    assert found == ["Sure! here they are:", f"{POEM} 10) {TIDES}".capitalize()]


@given(st.lists(st.sampled_from([POEM, TIDES]), min_size=1, max_size=9), st.integers(2, 90))
def test_numbered_items_come_back_in_order(items: list[str], first: int) -> None:
    text = "\n".join(f"{first + place}. {item}" for place, item in enumerate(items))
    assert kept(text) == items


@given(st.text(alphabet="0129.)-* :\nabSure!", max_size=80))
def test_every_letter_of_a_completion_stands_in_a_piece(text: str) -> None:
    pieces = parse_instructions(text, "stop")
    assert pieces
    letters = "".join(filter(str.isalpha, text)).lower()
    found = "".join(filter(str.isalpha, "".join(piece.text for piece in pieces))).lower()
    assert len(found) <= len(letters)
    assert found == letters or "task" in text.lower()
