import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts.readable import is_readable
from refine_af.contracts.records import Rejected
from refine_af.engines.text import Finish
from refine_af.self_instruct.parse_instructions import (
    ALPACA_BLACKLIST,
    PUBLISHED,
    ParseRules,
    is_statement,
    parse_instructions,
)


def outcome(text: str, rules: ParseRules | None = None) -> str | None:
    [piece] = parse_instructions(text, "stop", rules)
    return piece.reason


def test_items_are_split_collapsed_and_numbered() -> None:
    text = " name  the\trivers of Spain.\n10. write a JSON object by hand\n 11. no item\n12 . x"
    pieces = parse_instructions(text, "stop")
    assert [(piece.text, piece.position, piece.reason) for piece in pieces] == [
        ("Name the rivers of Spain.", 0, None),
        ("Write a JSON object by hand", 1, None),
        ("No item", 2, "too_short"),
        ("X", 3, "too_short"),
    ]
    published = parse_instructions(text, "stop", PUBLISHED)
    assert [piece.text for piece in published] == [
        "Name the rivers of spain.",
        "Write a json object by hand 11. no item",
        "X",
    ]


def test_published_capitalisation_lowers_the_rest() -> None:
    text = "name the rivers of Spain"
    assert parse_instructions(text, "stop", PUBLISHED)[0].text == "Name the rivers of spain"
    assert parse_instructions(text, "stop")[0].text == "Name the rivers of Spain"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("one two three", "too_short"),
        ("one two three four", None),
        ("word " * 150, None),
        ("word " * 151, "too_long"),
        ("Describe the IMAGE of it", "keyword"),
        ("Describe the imagery of it", None),
        ("Please go to the shop", "keyword"),
        ("Please go on to it", None),
        ("Write a program that sorts", "write_a_program"),
        ("write a Program that sorts", "write_a_program"),
        ("Rewrite a program that sorts", None),
        ("(Name) the four seasons", "punctuation"),
        ("été is a French word", "non_ascii"),
        ("Say \x00 to the four", "unreadable"),
        ("Say \x1b[2J to the four", "unreadable"),
        ("Say \ud800 to the four", "unreadable"),
        ("# graph", "too_short"),
        ("# graph of all things", "keyword"),
    ],
)
def test_first_broken_rule_gives_the_reason(text: str, reason: str | None) -> None:
    assert outcome(text) == reason


def test_alpaca_words_are_an_option() -> None:
    text = "Describe the music of Spain"
    assert outcome(text) is None
    assert outcome(text, ParseRules(blacklist=ALPACA_BLACKLIST)) == "keyword"
    assert outcome("Draw a map of it", ParseRules(blacklist=())) is None


def test_cut_off_completion_loses_its_last_piece_or_as_published_all() -> None:
    text = "Name the rivers of Spain\n10. Name the rivers of Fra"
    reasons = [piece.reason for piece in parse_instructions(text, "length")]
    assert reasons == [None, "truncated"]
    reasons = [piece.reason for piece in parse_instructions(text, "length", PUBLISHED)]
    assert reasons == ["truncated", "truncated"]


def test_long_completion_is_read_in_one_pass() -> None:
    text = "\n10. ".join(["Name one river of Spain"] * 5_000) + "x" * 100_000
    pieces = parse_instructions(text, "stop")
    assert len(pieces) == 5_000
    assert [piece.position for piece in pieces] == list(range(5_000))


@given(st.text(), st.sampled_from(["stop", "length"]))
def test_every_piece_can_be_stored(text: str, finish: Finish) -> None:
    for piece in parse_instructions(text, finish):
        assert "\x00" not in piece.text
        piece.text.encode()
        Rejected.make("test", piece.reason or "kept", piece.text)


@given(st.text(st.sampled_from("aZ \t\n\r\x0b\x0c\x00\x1f\x7f\x80\x9f\xa0\u0131\u2028\ud800")))
def test_readable_is_what_has_no_control_character_and_no_surrogate(text: str) -> None:
    categories = {unicodedata.category(character) for character in set(text) - set("\t\n\r")}
    assert is_readable(text) == categories.isdisjoint({"Cc", "Cs"})


@given(
    st.lists(st.sampled_from([*ALPACA_BLACKLIST, "map", "s", "Go", "to", "\u212aey", ",", "up"])),
    st.sampled_from(["", " ", " x "]),
    st.lists(st.sampled_from(["map", "maps", "go to", "key", "s", "x"]), min_size=1).map(tuple),
)
def test_a_keyword_is_found_as_the_pattern_of_all_words_finds_it(
    words: list[str], between: str, blacklist: tuple[str, ...]
) -> None:
    text = f"Some four words here {between.join(words)}"
    pattern = re.compile(rf"\b({'|'.join(blacklist)})\b", re.IGNORECASE)
    [piece] = parse_instructions(text, "stop", ParseRules(blacklist=blacklist))
    match = pattern.search(piece.text)
    assert (piece.reason, piece.detail) == (("keyword", match[0]) if match else (None, ""))


@pytest.mark.parametrize(
    "text",
    [
        "The item described above is no longer available.",
        "I have a love of music.",
        "All of the following sentences are the same.",
        "A rocket that can reach the moon.",
    ],
)
def test_a_statement_is_dropped_where_that_is_asked_for(text: str) -> None:
    (kept,) = parse_instructions(text, "stop")
    (dropped,) = parse_instructions(text, "stop", ParseRules(statements=False))
    assert kept.reason is None
    assert (dropped.reason, dropped.detail) == ("statement", text.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "Theorise about the origin of a word.",
        "Is the sky blue at night?",
        "A haiku on the first frost, please, without the word cold.",
        "I need a small helper in JavaScript.",
        "You are a tour guide. Plan three stops with times.",
        "This list has repeated entries: remove them.",
        "They say that cats have nine lives, but is it true?",
    ],
)
def test_requests_are_no_statements(text: str) -> None:
    (piece,) = parse_instructions(text, "stop", ParseRules(statements=False))
    assert piece.reason is None


def test_no_packaged_seed_is_a_statement() -> None:
    path = Path(__file__).parents[2] / "seeds" / "seed_tasks.jsonl"
    seeds = [json.loads(line)["instruction"] for line in path.read_text("utf-8").splitlines()]
    assert len(seeds) == 175
    assert not [text for text in seeds if is_statement(text)]
