"""Selection of scored rows, and words that spread through the actions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts.errors import ParameterError
from refine_af.feedback.interface import Triplet
from refine_af.feedback.keywords import keyword_rises
from refine_af.feedback.selection import select


def test_threshold_then_top_k_with_reasons() -> None:
    found = select([0.5, 0.1, 0.9, 0.5, 0.7], threshold=0.5, top_k=3)
    assert found.kept == (0, 2, 4)
    assert [(one.position, one.reason) for one in found.dropped] == [
        (1, "below_threshold"),
        (3, "below_top_k"),
    ]
    assert found.dropped[0].detail == "total 0.1 is below the threshold 0.5"


@given(
    st.lists(st.integers(-5, 5).map(float)),
    st.none() | st.integers(-5, 5).map(float),
    st.none() | st.integers(1, 9),
)
def test_selection_keeps_the_best_and_loses_no_row(
    totals: list[float], threshold: float | None, top_k: int | None
) -> None:
    found = select(totals, threshold=threshold, top_k=top_k)
    dropped = [one.position for one in found.dropped]
    assert sorted([*found.kept, *dropped]) == list(range(len(totals)))
    passed = [at for at, total in enumerate(totals) if threshold is None or total >= threshold]
    assert len(found.kept) == min(len(passed), len(totals) if top_k is None else top_k)
    lost = [totals[one.position] for one in found.dropped if one.reason == "below_top_k"]
    assert all(totals[at] >= value for at in found.kept for value in lost)


def test_selection_refuses_nonsense() -> None:
    with pytest.raises(ParameterError, match="top_k is 0"):
        select([1.0], top_k=0)
    with pytest.raises(ParameterError, match="threshold is NaN"):
        select([1.0], threshold=float("nan"))


def _rows(*outputs: str) -> list[Triplet]:
    return [Triplet("Name a thing.", "", output) for output in outputs]


def test_keyword_rise_ignores_usual_words_and_the_words_of_the_prompt() -> None:
    # "a" stands in 3 of the first 4, "great" in 1 of 4; "thing" is a word of the prompt.
    start: list[list[Triplet | None]] = [
        [*_rows("a cup", "a dog")],
        [*_rows("a sun", "great"), None],
    ]
    later: list[list[Triplet | None]] = [
        [*_rows("great thing", "a great thing", "Great! thing", "one thing")],
        [None],
    ]
    found = keyword_rises([*start, *later, _rows("thing")], reference_rows=4)
    assert found == [None, None, 0.5, None, 0.0]
    assert keyword_rises([*start, *later], reference_rows=5) == [None, None, None, None]
    assert keyword_rises([]) == []
