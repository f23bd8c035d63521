"""The scan for one text finds what comparing with every text finds."""

from hypothesis import given
from hypothesis import strategies as st

from refine_af.dedup.nearest import nearest_texts
from refine_af.dedup.rouge_l import rouge_l

WORDS = st.sampled_from(["a", "b", "c", "the", "The", "K", "\u212a", "e\u0301", "", "."])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


@given(text=TEXTS, others=st.lists(TEXTS, max_size=12), count=st.integers(1, 4))
def test_against_comparing_with_every_text(text: str, others: list[str], count: int) -> None:
    every = [(place, rouge_l(text, other)) for place, other in enumerate(others)]
    assert (
        nearest_texts(text, others, count)
        == sorted(every, key=lambda one: (-one[1], one[0]))[:count]
    )


def test_by_hand() -> None:
    # LCS("sort the list", "sort a list") = 2 words, F1 = 2*2/(3+3)
    others = ["name a fruit", "sort a list", "list the sort", "sort a list"]
    assert nearest_texts("Sort the list!", others, 2) == [(1, 2 / 3), (3, 2 / 3)]


def test_nothing_to_compare_with() -> None:
    assert nearest_texts("a", [], 3) == []
    assert nearest_texts("...", ["a", "b"], 1) == [(0, 0.0)]


def test_a_token_that_comes_twice_counts_twice() -> None:
    assert nearest_texts("a a b", ["a b", "a a b"], 1) == [(1, 1.0)]
