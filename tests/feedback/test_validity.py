"""How well a reward tells right rows from faulty ones, by rewards whose answer is known."""

from collections.abc import Sequence

import pytest

from refine_af.contracts.errors import DataError
from refine_af.feedback.interface import Triplet
from refine_af.feedback.validity import (
    agreement,
    faulty,
    rank_correlation,
    separation,
    separations,
    warnings,
)

ROWS = [
    Triplet(f"Say {n} in words.", f"number {n}", f"It is the number {n} of many more")
    for n in range(12)
]


def knows(rows: Sequence[Triplet]) -> list[float]:
    """Return 1 for exactly the right answer."""
    return [
        float(row.output == f"It is the number {row.input.split()[1]} of many more") for row in rows
    ]


def longest(rows: Sequence[Triplet]) -> list[float]:
    """Pay for words."""
    return [float(len(row.output.split())) for row in rows]


def test_a_reward_that_knows_the_answer_separates_every_fault() -> None:
    table = separations(ROWS, knows)
    assert set(table) == {"swapped", "truncated", "garbled", "repeated", "echo"}
    assert all((found.auc, found.paired) == (1.0, 1.0) for found in table.values())
    assert warnings(table) == []


def test_a_reward_for_length_is_a_coin_for_swaps_and_pays_for_repetition() -> None:
    table = separations(ROWS, longest)
    assert table["swapped"].auc == 0.5
    assert table["truncated"].auc == 1.0
    assert table["repeated"].auc == 0.0
    told = warnings(table)
    assert [line.split(":")[0] for line in told] == ["swapped", "garbled", "repeated"]
    assert "pays for this fault" in told[2]


def test_faults_by_hand() -> None:
    made = faulty([Triplet("Q", "b", "one two three four five"), Triplet("R", "", "x")], 1)
    assert [copy.output for _, copy in made["swapped"]] == ["x", "one two three four five"]
    assert [copy.output for _, copy in made["truncated"]] == ["one two"]
    assert made["repeated"][1][1].output == "x x x x x"
    assert [copy.output for _, copy in made["echo"]] == ["b", "R"]
    [(row, copy)] = made["garbled"]
    assert sorted(copy.output.split()) == sorted(row.output.split())
    assert copy.output != row.output


def test_the_area_under_the_curve_by_hand() -> None:
    found = separation([3.0, 1.0], [2.0, 1.0])
    assert found.auc == (2 + 0.5) / 4  # 3 above both, 1 below 2 and level with 1
    assert found.paired == 0.75
    assert found.standard_error == pytest.approx((0.75 * 0.25 / 2) ** 0.5)


def test_agreement_with_people() -> None:
    pairs = [(row, row._replace(output="short")) for row in ROWS]
    assert agreement(pairs, longest).paired == 1.0
    assert agreement([(worse, better) for better, worse in pairs], longest).paired == 0.0
    rated = [(row._replace(output="x " * n), float(n)) for n, row in enumerate(ROWS)]
    rows, correlation = rank_correlation(rated, longest)
    assert rows == 12
    assert correlation == pytest.approx(1.0)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2 rows, 1 given"):
        separations(ROWS[:1], knows)
    with pytest.raises(DataError, match="no pair"):
        agreement([], knows)


def test_an_echo_breaks_the_guard_against_copying() -> None:
    from refine_af.feedback.guards import broken_guards
    from refine_af.feedback.indicators import TextIndicators, copied_share
    from refine_af.feedback.params import RewardParams

    prompt = "Shorten the text.\nthe boat left at noon with nine people"
    assert copied_share("The boat left at noon", prompt) == 1.0
    assert copied_share("the boat left at night", prompt) == 0.5  # 1 of its two 4-grams
    assert copied_share("at noon", prompt) == 0.0, "a short answer may stand in the prompt"
    params = RewardParams(guard_copied=0.8)
    [parts] = TextIndicators(copied=True).score([Triplet(prompt, "", "The boat left at noon")])
    assert broken_guards(parts, params) == ("copied",)
    [without] = TextIndicators().score([Triplet(prompt, "", "The boat left at noon")])
    assert "copied" not in without
    assert broken_guards(without, RewardParams()) == ()
