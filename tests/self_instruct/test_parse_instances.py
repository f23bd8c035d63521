import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.parse_instances import (
    _INPUT_OUTPUT_EXAMPLE,
    MAX_INSTANCES,
    _labels,
    filter_instances,
    is_classification,
    parse_instances,
    parse_plain,
)


@pytest.mark.parametrize("answer", ["Yes", " yes\n", "YES"])
def test_yes_in_three_spellings_is_classification(answer: str) -> None:
    assert is_classification(answer)


@pytest.mark.parametrize("answer", ["", "No", "yES", "Yes.", "Yes, it is"])
def test_anything_else_is_not(answer: str) -> None:
    assert not is_classification(answer)


def test_example_blocks() -> None:
    answer = """Example 1
Input: Oslo
Output: Norway
Example 2.
Input 2: Lima
Output 2: Peru
Input: left over
Example 3
Just an output"""
    assert parse_instances(answer, "stop", "input_first") == [
        Draft("Oslo", "Norway"),
        Draft("Lima", "Peru"),
        Draft("", "Just an output"),
    ]


def test_named_input_fields_stay_in_the_input() -> None:
    answer = "Example 1\nParagraph: It rained.\nQuestion: Was it dry?\nOutput: No"
    [pair] = parse_instances(answer, "stop", "input_first")
    assert pair == Draft("Paragraph: It rained.\nQuestion: Was it dry?", "No")


def test_single_pair_and_no_pair() -> None:
    assert parse_instances("Output: Bread.", "stop", "input_first") == [Draft("", "Bread.")]
    assert parse_instances("Bread.", "stop", "input_first") == [Draft("", "Bread.", "unparseable")]
    assert parse_instances("", "stop", "output_first") == [Draft("", "", "unparseable")]


def test_class_labels_come_before_their_inputs() -> None:
    answer = "Class label: good\nI liked it.\nVery much.\nClass label: bad\nClass label:\n"
    assert parse_instances(answer, "stop", "output_first") == [
        Draft("I liked it.\nVery much.", "good"),
        Draft("", "bad"),
        Draft("", ""),
    ]


def test_the_word_before_a_labels_input_is_no_part_of_it() -> None:
    answer = "Class label: person\nInput: Sarah\nClass label: animal\nOutput: Dear Carl, thanks."
    assert parse_instances(answer, "stop", "output_first") == [
        Draft("Sarah", "person"),
        Draft(
            "Output: Dear Carl, thanks.", "animal", "unparseable", "Output: behind a class label"
        ),
    ]


def test_cut_off_answer_loses_its_last_pair() -> None:
    answer = "Class label: good\nI liked it.\nClass label: bad\nI did n"
    reasons = [pair.reason for pair in parse_instances(answer, "length", "output_first")]
    assert reasons == [None, "truncated"]


def test_unstorable_text_is_dropped_in_a_storable_form() -> None:
    [pair] = parse_instances("Output: a\x00b\ud800", "stop", "input_first")
    assert pair == Draft("", "a\ufffdb\ufffd", "unreadable")


def test_plain_answer_is_one_pair_even_with_the_word_example() -> None:
    assert parse_plain("Input: Example 1 of it\nOutput: y\nInput: more") == Draft(
        "Example 1 of it", "y"
    )
    assert parse_plain(" Output: y") == Draft("", "y")
    assert parse_plain("Input: x\nOutput: ") is None
    assert parse_plain("Input: x") is None
    assert parse_plain("Output: \x07") is None


def reasons(*pairs: tuple[str, str]) -> list[str | None]:
    drafts = [Draft(*pair) for pair in pairs]
    return [draft.reason for draft in filter_instances(drafts, 1, "ins-1")]


def test_single_pairs_are_judged_first() -> None:
    found = reasons(("a", "a"), ("b", ""), ("c:", "d"), ("e", "f:"), ("g", "h"), ("", "i"))
    assert found == [
        "same_as_input",
        "empty_output",
        "ends_with_colon",
        "ends_with_colon",
        None,
        None,
    ]


def test_one_input_with_two_outputs_drops_all_pairs() -> None:
    assert reasons(("a", "b"), ("c", "d"), ("a", "e")) == ["conflicting_outputs"] * 3
    assert reasons(("", "b"), ("", "c")) == [None, None]
    assert reasons(("a", "b"), ("a", "a")) == [None, "same_as_input"]


def test_repeats_are_dropped_after_the_first() -> None:
    assert reasons(("a", "b"), ("", "c"), ("a", "b"), ("", "c")) == [
        None,
        None,
        "duplicate",
        "duplicate",
    ]


def test_at_most_five_stay_chosen_by_seed_in_order() -> None:
    drafts = [Draft(f"in {place}", f"out {place}") for place in range(9)]
    first = filter_instances(drafts, 1, "ins-1")
    assert [draft.output for draft in first] == [draft.output for draft in drafts]
    assert [draft.reason for draft in first].count(None) == MAX_INSTANCES
    assert {draft.reason for draft in first} == {None, "over_limit"}
    assert first == filter_instances(drafts, 1, "ins-1")
    chosen = {
        tuple(draft.reason is None for draft in filter_instances(drafts, seed, "ins-1"))
        for seed in range(8)
    }
    assert len(chosen) > 1


TEXT = st.sampled_from(["", "a", "b", "a:", "b c"])


def published(pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return what the reference keeps before it draws five: an unordered set."""
    valid = [
        (source, output)
        for source, output in pairs
        if source != output and output and not source.endswith(":") and not output.endswith(":")
    ]
    for source, output in valid:
        for other, another in valid:
            if source != "" and source == other and output != another:
                return set()
    return set(valid)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_filters_keep_the_set_that_the_reference_keeps(pairs: list[tuple[str, str]]) -> None:
    found = filter_instances([Draft(*pair) for pair in pairs], 1, "ins-1", limit=8)
    kept = [(draft.input, draft.output) for draft in found if draft.reason is None]
    assert len(kept) == len(set(kept))
    assert set(kept) == published(pairs)


@given(
    st.text(), st.sampled_from(["input_first", "output_first"]), st.sampled_from(["stop", "length"])
)
def test_any_answer_gives_storable_drafts(answer: str, layout: str, finish: str) -> None:
    drafts = parse_instances(answer, finish, layout)  # type: ignore[arg-type]
    assert drafts
    for draft in drafts:
        (draft.input + draft.output).encode()
        assert "\x00" not in draft.input + draft.output


DOCSTRING = "\n".join(
    [
        "def f(x):",
        "    # Double it.",
        "",
        "    # Returns:",
        "    Input: a number.",
        "    Output: it",
        "    pass",
    ]
)
INSIDE = (
    DOCSTRING,
    "The words Input: and Output: name fields.",
    "For Example 2 see Class label: none, or Example 3.",
    "A file holds\ninput: none\noutput: 3",
)


@pytest.mark.parametrize("text", INSIDE)
def test_labels_inside_a_line_are_text(text: str) -> None:
    pair = [Draft("a", text)]
    assert parse_instances(f"Input: a\nOutput: {text}", "stop", "input_first") == pair
    block = f"Example 1\nInput: a\nOutput: {text}\nExample 2\nInput: b\nOutput: c"
    assert parse_instances(block, "stop", "input_first") == [*pair, Draft("b", "c")]
    assert parse_plain(f"Input: a\nOutput: {text}") == pair[0]
    assert parse_plain(f"Input: {text}\nOutput: a") == Draft(text, "a")
    labels = f"Class label: yes\nIt said {text}"
    assert parse_instances(labels, "stop", "output_first") == [Draft(f"It said {text}", "yes")]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ("Input: a\nOutput: b\nOutput: c", "Output: inside the output"),
        ("Output: A call has\nInput: arguments\nOutput: results", "Input: inside the output"),
        ("Input: a\nb\nInput: c\nOutput: d", "Input: inside the input"),
        ("A text.\nInput: c\nOutput: d", "Input: inside the input"),
    ],
)
def test_a_label_in_another_place_makes_the_pair_ambiguous(answer: str, detail: str) -> None:
    [pair] = parse_instances(answer, "stop", "input_first")
    assert (pair.reason, pair.detail) == ("ambiguous", detail)
    [judged] = filter_instances([pair], 1, "ins-1")
    assert judged.reason == "ambiguous"


@pytest.mark.parametrize(
    "text",
    [
        "A noun names a thing.\nExample: dog",
        "See\nExample\nof it",
        "Two of them:\nExample 1: dog\nExample 2: cat",
    ],
)
def test_an_example_inside_an_answer_does_not_cut_it(text: str) -> None:
    for before in ("", "Example 1\n"):
        [pair] = parse_instances(f"{before}Input: a\nOutput: {text}", "stop", "input_first")
        assert (pair.reason, pair.output) == ("ambiguous", text)
    assert parse_plain(f"Input: a\nOutput: {text}") == Draft("a", text)


def test_the_next_example_may_have_no_labels() -> None:
    answer = "Example 1\nInput: a\nOutput: b\nExample 2\nJust c"
    assert parse_instances(answer, "stop", "input_first") == [Draft("a", "b"), Draft("", "Just c")]
    # one that was cut off does not spoil the pair before it
    [pair, cut] = parse_instances("Input: a\nOutput: b\nExample\nIn", "length", "input_first")
    assert (pair, cut.reason) == (Draft("a", "b"), "truncated")


@pytest.mark.parametrize("fence", ["```", "````"])
def test_labels_in_a_block_of_code_are_text(fence: str) -> None:
    code = f"{fence}python\nInput: 5\nOutput: 6\nExample 2\n{fence}"
    for output in (code, f"Run it:\n{code}\nThat is all."):
        assert parse_plain(f"Input: a\nOutput: {output}") == Draft("a", output)
        block = f"Example 1\nInput: a\nOutput: {output}\nExample 2\nInput: b\nOutput: c"
        pairs = [Draft("a", output), Draft("b", "c")]
        assert parse_instances(block, "stop", "input_first") == pairs
    # a block that nobody closes holds nothing
    text = f"Example 1\nInput: a\nOutput: {fence}\nx\nExample 2\nInput: b\nOutput: c"
    assert [pair.input for pair in parse_instances(text, "stop", "input_first")] == ["a", "b"]


def test_labels_in_dress_are_labels() -> None:
    answer = (
        "**Example 1**\n**Input:** Oslo\n**Output:** Norway\n"
        "### Example 2:\nInput: Lima\nOUTPUT: Peru"
    )
    assert parse_instances(answer, "stop", "input_first") == [
        Draft("Oslo", "Norway"),
        Draft("Lima", "Peru"),
    ]


def test_an_input_without_an_output_is_unparseable_and_keeps_its_text() -> None:
    [pair] = parse_instances("Input: Oslo", "stop", "input_first")
    assert (pair.output, pair.reason) == ("Input: Oslo", "unparseable")


def test_an_answer_that_goes_on_with_another_task_is_unparseable() -> None:
    [pair] = parse_instances("Task: Name a river.\nOutput: Po", "stop", "input_first")
    assert pair.reason == "unparseable"


@pytest.mark.parametrize("text", INSIDE[:3])
def test_the_published_reading_cuts_at_them(text: str) -> None:
    found = parse_instances(f"Output: {text}", "stop", "input_first", published=True)
    assert found != [Draft("", text)]


PLAIN_TEXT = st.text(alphabet="ab: \nInputOExmple1", min_size=1, max_size=30).filter(
    lambda text: (
        text == text.strip()
        and not any(
            line.strip(" \t*_#>").lower().startswith(("input", "output", "example", "task"))
            for line in text.split("\n")
        )
    )
)


@given(PLAIN_TEXT, PLAIN_TEXT)
def test_what_stands_behind_the_labels_comes_back_whole(given_text: str, output: str) -> None:
    answer = f"Input: {given_text}\nOutput: {output}"
    assert parse_instances(answer, "stop", "input_first") == [Draft(given_text, output)]
    assert parse_plain(answer) == Draft(given_text, output)


LABEL_LINE = re.compile(
    r"([ \t]*)(?:#{1,4} |> ?)?[*_]{0,2}(Input|INPUT|Output|OUTPUT|Example|EXAMPLE)"
    r"[ \t]*(?:#?\d{1,2})?[*_]{0,2}[ \t]*([:.]?)(.*)",
    re.DOTALL,
)


def plain_labels(text: str) -> list[str]:
    """Return the words of the labels, looking at one line after the other."""
    words: list[str] = []
    widest = 0
    for line in text.split("\n"):
        found = LABEL_LINE.fullmatch(line)
        if not found:
            continue
        indent, word, end, rest = found.groups()
        alone = word.upper() == "EXAMPLE" and (end == "." or (not end and not rest))
        if not (end == ":" or alone):
            continue
        widest = widest if words else len(indent) + 1
        if len(indent) <= widest:
            words.append(word)
    return words


WORDS = ("Input", "OUTPUT", "Example", "words", "\nInput:", "\nOutput: ", "\nExample 1\n")
MARKS = (":", ".", "\n", "\n\n", " ", "  ", "\t", "\r", "**", "_", "## ", "> ", "1", "#2", "123")
PARTS = st.sampled_from([*WORDS, *MARKS, "\n   Output:"])


@given(st.lists(PARTS, max_size=25).map("".join))
def test_labels_are_those_of_a_search_line_by_line_and_nothing_is_lost(text: str) -> None:
    before, labels = _labels(text, _INPUT_OUTPUT_EXAMPLE)
    assert [word for word, _, _ in labels] == plain_labels(text)
    pieces = [before, *(piece for _, written, rest in labels for piece in (written, rest))]
    assert "".join(pieces) == "\n" + text
