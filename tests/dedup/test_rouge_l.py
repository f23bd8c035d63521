import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenize import tokenize
from slow_filter import score

from refine_af.dedup.rouge_l import characters, f_measure, rouge_l, rouge_tokens, unicode_words

LOOKALIKES = "ab9 Zé\u0130\u212a\u017f\u00df\u2028\u0301\U0001d51e\x00_-"
TEXTS = st.text() | st.text(LOOKALIKES, max_size=30)


@given(TEXTS)
def test_tokens_are_those_of_rouge_score(text: str) -> None:
    assert [token.decode() for token in rouge_tokens(text)] == tokenize(text, None)


@given(TEXTS, TEXTS)
def test_score_is_that_of_rouge_score_to_the_last_bit(new: str, old: str) -> None:
    assert rouge_l(new, old) == score(new, old)


def test_score_by_hand() -> None:
    # Common subsequence "the cat on the mat": 5 of 6 and 5 of 5 tokens; 2 * 5/6 / (11/6) = 10/11.
    assert rouge_l("The cat sat on the mat.", "the cat on the mat") == pytest.approx(10 / 11)
    assert rouge_l("b a", "a b") == 0.5
    assert rouge_l("", "a") == rouge_l("", "") == 0.0


def test_formula_keeps_the_roundings_that_the_reference_has() -> None:
    # 7 of 8 and 12 tokens is 7/10 exactly; the reference's own roundings end just above it.
    assert f_measure(7, 8, 12) == 0.7000000000000001 > 0.7
    assert 2 * 7 / (8 + 12) == 0.7


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60))
def test_formula_is_symmetric(new: int, old: int, lcs: int) -> None:
    lcs = min(lcs, new, old)
    assert f_measure(lcs, new, old) == f_measure(lcs, old, new)


def test_other_scripts_have_tokens_only_on_demand() -> None:
    assert rouge_tokens("Привет, мир") == []
    assert unicode_words("Привет, МИР!") == ["привет", "мир"]
    assert unicode_words("हिन्दी में") == ["हिन्दी", "में"]
    assert unicode_words(unicodedata.normalize("NFD", "Été")) == ["été"]
    assert characters("東京 へ。") == ["東", "京", "へ"]
    assert rouge_l("東京へ行く", "東京へ来る", "characters") == pytest.approx(2 * 3 / 10)
    assert rouge_l("東京へ行く", "東京へ来る") == 0.0


@given(st.text("abc \N{CYRILLIC SMALL LETTER A}", max_size=20))
def test_unicode_words_agree_with_the_reference_on_latin_text(text: str) -> None:
    latin = text.replace("\N{CYRILLIC SMALL LETTER A}", " ")
    assert unicode_words(latin) == [token.decode() for token in rouge_tokens(latin)]
