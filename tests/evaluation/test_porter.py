"""Our stemmer against NLTK's, the one that rouge_score stems with."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.evaluation.porter import IRREGULAR, STEP_2, STEP_3, STEP_4, stem
from refine_af.evaluation.stemmed_lcs import UNLIKE_THEIR_STEM, token

SUFFIXES = [
    *(suffix for suffix, _ in (*STEP_2, *STEP_3)),
    *STEP_4,
    *("s", "ies", "sses", "ss", "ied", "ed", "eed", "ing", "y", "logi", "e", "ll", "yy"),
]


@pytest.fixture(scope="module")
def nltk_stemmer():  # type: ignore[no-untyped-def]  # noqa: ANN201  nltk has no types
    return pytest.importorskip("nltk.stem.porter").PorterStemmer()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("flies", "fli"),
        ("dies", "die"),
        ("agreed", "agre"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("enjoy", "enjoy"),
        ("relational", "relat"),
        ("geology", "geolog"),
        ("adoption", "adopt"),
        ("controll", "control"),
        ("controlling", "control"),
        ("dying", "die"),
        ("1234", "1234"),
    ],
)
def test_worked_examples(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_every_suffix_behind_random_stems_as_nltk(nltk_stemmer) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    draw = random.Random(5)
    words = {
        "".join(draw.choice("abcdeilostuyxwz1") for _ in range(draw.randint(0, 5)))
        + "".join(draw.choice(SUFFIXES) for _ in range(draw.randint(0, 3)))
        for _ in range(30_000)
    } | set(IRREGULAR)
    assert [word for word in sorted(words) if stem(word) != nltk_stemmer.stem(word)] == []


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=24))
def test_any_word_as_nltk(nltk_stemmer, word: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    assert stem(word) == nltk_stemmer.stem(word)


def test_all_other_words_share_two_letters_with_their_stem() -> None:
    letters = "aeosxyt"
    endings = ["", *SUFFIXES, *(suffix + "s" for suffix in SUFFIXES)]
    starts = {"", *letters, *(a + b for a in letters for b in letters)}
    words = {start + ending for start in starts for ending in endings} | set(IRREGULAR)
    unlike = {word for word in words if word and token(word.encode())[:2] != word[:2]}
    assert unlike == {word.decode() for word in UNLIKE_THEIR_STEM} & words
    assert {"lying", "aing", "oeds", "eings"} <= unlike


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aeiouystdgxl", min_size=1, max_size=7))
def test_any_word_shares_two_letters_with_its_stem(word: str) -> None:
    assert (token(word.encode())[:2] == word[:2]) == (word.encode() not in UNLIKE_THEIR_STEM)
