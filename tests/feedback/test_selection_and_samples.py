"""Selection of scored rows, and the surface statistics of an update's actions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.contracts.errors import ParameterError
from refine_af.feedback.interface import Triplet
from refine_af.feedback.samples import KeywordWatch, describe_samples
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


def test_sample_statistics_by_hand() -> None:
    rows = [*_rows("The answer is ten", "the answer is two", "Ten"), None]
    assert describe_samples(rows) == {
        "rows": 4.0,
        "parseable": 0.75,
        "length": 3.0,
        # pairs: the-answer, answer-is, is-ten, the-answer, answer-is, is-two
        "distinct_2": 4 / 6,
        "top_template_share": 2 / 3,
    }
    assert describe_samples([None]) == {"rows": 1.0, "parseable": 0.0}
    assert describe_samples([]) == {"rows": 0.0, "parseable": 0.0}


def test_keyword_rise_ignores_usual_words_and_the_words_of_the_prompt() -> None:
    watch = KeywordWatch(reference_rows=4)
    assert watch.update(_rows("a cup", "a dog", "a sun", "great")) == {}
    # "a" stood in 3 of 4, "great" in 1 of 4; "thing" is a word of the prompt.
    found = watch.update(_rows("great thing", "a great thing", "Great! thing", "one thing"))
    assert found == {"keyword_rise": 0.5}
    assert watch.update([None]) == {}
    assert watch.update(_rows("thing")) == {"keyword_rise": 0.0}


def test_keyword_watch_continues_from_json() -> None:
    watch, late = KeywordWatch(3), KeywordWatch(3)
    watch.update(_rows("x y", "x"))
    late.set_state(json.loads(json.dumps(watch.get_state())))
    for rows in (_rows("x", "z"), _rows("z"), _rows("y z")):
        assert watch.update(rows) == late.update(rows)
