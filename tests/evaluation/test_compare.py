"""The paired comparison: hand-computed counts and p values, its refusals and its noise."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.records import Prediction
from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm, Refusal
from refine_af.evaluation.intervals import Interval, intervals
from refine_af.statistics import sign_test

SETTINGS = {"max_tokens": 128, "sft.rows": 15000}


def arm(
    name: str, scores: Mapping[str, Sequence[float]], settings: Mapping[str, int] = SETTINGS
) -> Arm:
    rows = [
        Prediction(
            id=f"{name}-{task}-{place}",
            task=task,
            category="Word Analogy" if task < "m" else "Data to Text",
            instance=f"{task}-{place}",
            prediction="p",
            references=("r",),
            rouge_l=score,
            exact_match=0.0,
        )
        for task, values in scores.items()
        for place, score in enumerate(values)
    ]
    return Arm(name, rows, settings)


def compared(
    ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]
) -> Comparison:
    result = compare(arm("rl", ours), arm("baseline", theirs), seed=1, resamples=200)
    assert isinstance(result, Comparison)
    return result


@pytest.mark.parametrize(("wins", "expected"), [(75, 0.0029), (79, 0.0002)])
def test_sign_test_of_the_papers_claim(wins: int, expected: float) -> None:
    assert round(sign_test(wins, 119 - wins), 4) == expected


def test_sign_test_by_hand() -> None:
    # 3 of 4: (4 + 1) / 16.
    assert sign_test(3, 1) == 5 / 16
    assert sign_test(0, 0) == 1.0
    assert sign_test(0, 5) == 1.0


def test_counts_shares_and_effects_by_hand() -> None:
    result = compared(
        {"a": [0.5, 0.9], "b": [0.2, 0.2], "c": [0.4, 0.6], "z": [0.0, 0.1]},
        {"a": [0.3, 0.5], "b": [0.4, 0.2], "c": [0.6, 0.4], "z": [0.0, 0.0]},
    )
    assert (result.wins, result.ties, result.losses) == (2, 1, 1)
    assert (result.win_share, result.win_share_all) == (2 / 3, 0.5)
    assert result.mean_difference == pytest.approx((0.3 - 0.1 + 0.0 + 0.05) / 4)
    assert (result.p_greater, result.p_two_sided) == (0.5, 1.0)
    text, analogy = result.categories
    assert (text.category, text.wins, text.ties, text.losses) == ("data_to_text", 1, 0, 0)
    assert (analogy.tasks, analogy.wins, analogy.ties, analogy.losses) == (3, 1, 1, 1)
    values = [0.2, 0.4, -0.2, 0.0, -0.2, 0.2]
    mean = sum(values) / 6
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 5)
    assert analogy.effect_size == pytest.approx(mean / spread)
    # Differences 0.0 and 0.1: mean 0.05, standard deviation 0.1 / sqrt 2.
    assert text.effect_size == pytest.approx(0.05 / (0.1 / math.sqrt(2)))


def test_equal_scores_in_another_order_are_a_tie() -> None:
    scores = [0.1, 0.7, 1 / 3, 0.2, 2 / 7, 0.3]
    result = compared({"a": scores}, {"a": scores[::-1]})
    assert (result.wins, result.ties, result.losses) == (0, 1, 0)
    assert result.win_share is None
    assert result.win_share_all == 0.0


def test_swapping_the_arms_mirrors_the_result() -> None:
    ours = {f"t{n}": [((n * 7 + k * 3) % 11) / 10 for k in range(5)] for n in range(20)}
    theirs = {f"t{n}": [((n * 5 + k * 4) % 11) / 10 for k in range(5)] for n in range(20)}
    there, back = compared(ours, theirs), compared(theirs, ours)
    assert (there.wins, there.ties, there.losses) == (back.losses, back.ties, back.wins)
    assert there.p_two_sided == back.p_two_sided
    low, high = there.intervals.mean_difference.low, there.intervals.mean_difference.high
    assert low is not None
    assert high is not None
    mirrored = back.intervals.mean_difference
    assert mirrored.low == pytest.approx(-high)
    assert mirrored.high == pytest.approx(-low)


def test_bootstrap_against_a_slow_reference() -> None:
    # One instance per task: only tasks vary, so the share of wins in a resample is binomial.
    differences = [np.array([1.0])] * 30 + [np.array([-1.0])] * 10
    found = intervals(differences, 3, 4000, 0.95)
    draw = np.random.default_rng(0)
    slow = draw.binomial(40, 0.75, size=200_000) / 40
    low, high = np.percentile(slow, [2.5, 97.5])
    assert found.win_share.low == pytest.approx(low, abs=0.026)
    assert found.win_share.high == pytest.approx(high, abs=0.026)
    assert found.win_share == found.win_share_all


def test_bootstrap_resamples_instances_too() -> None:
    # One task: tasks alone could not vary. P(mean of 2 draws from {1, -1} is 0) = 1/2.
    found = intervals([np.array([1.0, -1.0])], 3, 2000, 0.9)
    assert found.mean_difference == Interval(-1.0, 1.0)
    assert found.win_share == Interval(0.0, 1.0)


def test_bootstrap_draws_each_task_by_its_own_size() -> None:
    # Task means are 0 exactly whatever is drawn; a wrong offset would read the ones of a neighbour.
    differences = [np.zeros(3), np.full(7, 1.0), np.zeros(1)]
    found = intervals(differences, 9, 500, 0.99)
    assert found.mean_difference.low == 0.0
    assert found.mean_difference.high == 1.0
    assert found.win_share == Interval(1.0, 1.0)


def test_same_seed_same_interval_and_another_seed_another() -> None:
    differences = [np.array([0.1 * n, -0.03 * n * n, 0.2]) for n in range(-5, 6)]
    first = intervals(differences, 1, 300, 0.95)
    assert intervals(differences, 1, 300, 0.95) == first
    assert intervals(differences, 2, 300, 0.95) != first


def test_undecided_resamples_have_no_share() -> None:
    assert intervals([np.zeros(4)], 1, 50, 0.95).win_share == Interval(None, None)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (arm("baseline", {"a": [0.5]}), "instance 'a-1' of task 'a' is in rl only"),
        (arm("baseline", {"a": [0.5, 0.1], "b": [1.0]}), "task 'b' is in baseline only"),
        (
            arm("baseline", {"a": [0.5, 0.1]}, SETTINGS | {"sft.rows": 14999}),
            "setting 'sft.rows' is 15000 in rl and 14999 in baseline",
        ),
        (
            arm("baseline", {"a": [0.5, 0.1]}, {"max_tokens": 128}),
            "setting 'sft.rows' is 15000 in rl and absent in baseline",
        ),
    ],
)
def test_unfair_comparisons_are_refused_with_what_differs(other: Arm, expected: str) -> None:
    refusal = compare(arm("rl", {"a": [0.4, 0.2]}), other, seed=1)
    assert isinstance(refusal, Refusal)
    assert expected in refusal.differences
    assert "no win share is given" in refusal.message()


def test_other_references_are_a_difference() -> None:
    ours, theirs = arm("rl", {"a": [0.4]}), arm("baseline", {"a": [0.4]})
    changed = theirs.predictions[0].model_copy(update={"references": ("s",)})
    refusal = compare(ours, Arm("baseline", [changed], SETTINGS), seed=1)
    assert isinstance(refusal, Refusal)
    assert "has other references or category" in refusal.differences[0]


def test_an_aa_comparison_may_differ_in_its_seed() -> None:
    first = arm("baseline", {"a": [0.4]}, SETTINGS | {"sft.seed": 1})
    second = arm("baseline_b", {"a": [0.5]}, SETTINGS | {"sft.seed": 2})
    assert isinstance(compare(first, second, seed=1), Refusal)
    result = compare(first, second, seed=1, resamples=10, may_differ=["sft.seed"])
    assert isinstance(result, Comparison)
    assert result.losses == 1


def test_long_lists_of_differences_are_cut() -> None:
    refusal = compare(
        arm("rl", {f"t{n:02}": [0.1] for n in range(30)}), arm("b", {"x": [1.0]}), seed=1
    )
    assert isinstance(refusal, Refusal)
    assert refusal.differences[-1] == "and 11 more differences"


def test_bad_calls() -> None:
    good = arm("rl", {"a": [0.4]})
    with pytest.raises(DataError, match="has no predictions"):
        compare(good, Arm("baseline", []), seed=1)
    with pytest.raises(DataError, match="has two predictions"):
        compare(good, Arm("baseline", [*good.predictions, *good.predictions]), seed=1)
    with pytest.raises(ParameterError, match=r"confidence is 95"):
        compare(good, good, seed=1, confidence=95)
