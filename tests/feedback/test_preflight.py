"""Preflight: hand-made rows, and the published UniEval scores with human ratings."""

import gzip
import json
import os
import random
from pathlib import Path
from statistics import fmean

import pytest

from refine_af.contracts.errors import DataError
from refine_af.feedback.preflight import preflight
from refine_af.feedback.presets import find_preset
from refine_af.statistics import pearson, spearman

DATA = os.environ.get("REFINE_AF_TEST_DATA")


def _collinear(rows: int = 200) -> list[dict[str, float]]:
    """Rows as UniEval gives: two nearly equal indicators and an independent third."""
    rng = random.Random(1)
    made = []
    for _ in range(rows):
        fluency = rng.uniform(0.2, 1)
        made.append(
            {
                "naturalness": fluency + rng.gauss(0, 0.005),
                "understandability": fluency + rng.gauss(0, 0.005),
                "coherence": rng.uniform(0.5, 0.8),
                "reward": rng.gauss(0, 1),
            }
        )
    return made


def test_correlations_by_hand() -> None:
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1.0)
    assert pearson([1, 2, 3, 4], [1, -1, -1, 1]) == pytest.approx(0.0)
    assert pearson([1, 1, 1], [1, 2, 3]) is None
    # ranks 0, 1.5, 1.5, 3 and 0, 1, 2, 3: covariance 4.5, sums of squares 4.5 and 5
    assert spearman([1, 5, 5, 9], [10, 20, 30, 40]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_the_paper_rule_on_collinear_indicators_warns_of_both() -> None:
    found = preflight(_collinear(), find_preset("instructmining"))
    assert len(found.warnings) == 3
    assert "weighs them -0.4421 and +0.3212" in found.warnings[0]
    assert "pays for disfluent text" in found.warnings[1]
    assert found.correlation["naturalness"]["understandability"] == pytest.approx(1, abs=0.01)
    assert found.spread["coherence"]["least"] >= 0.5


@pytest.mark.parametrize("name", ["no_und", "balanced", "reward_model"])
def test_rules_that_pay_for_fluency_do_not_warn(name: str) -> None:
    assert preflight(_collinear(), find_preset(name)).warnings == ()


def test_independent_indicators_do_not_warn_of_cancelling() -> None:
    rows = [
        row | {"naturalness": other["coherence"]}
        for row, other in zip(_collinear(), _collinear()[::-1], strict=True)
    ]
    found = preflight(rows, find_preset("instructmining"))
    assert not any("nearly the same number" in warning for warning in found.warnings)


def test_few_rows_a_constant_part_and_a_missing_part() -> None:
    assert "too few" in preflight(_collinear(10), find_preset("balanced")).warnings[0]
    constant = [row | {"reward": 1.0} for row in _collinear()]
    found = preflight(constant, find_preset("balanced"))
    assert found.correlation["reward"]["naturalness"] is None
    with pytest.raises(DataError, match="needs at least 2"):
        preflight([], find_preset("balanced"))
    with pytest.raises(DataError, match="row 1 lacks the part 'reward'"):
        preflight([{"naturalness": 1.0}] * 40, find_preset("balanced"))


@pytest.mark.skipif(DATA is None, reason="REFINE_AF_TEST_DATA is not set")
def test_published_unieval_scores_show_that_the_rule_pays_for_disfluency() -> None:
    path = Path(str(DATA)) / "reward_reference" / "unieval_topical_chat.jsonl.gz"
    with gzip.open(path, "rb") as source:
        records = [json.loads(line) for line in source.read().split(b"\n") if line]
    names = ("naturalness", "understandability", "coherence")
    parts = [{name: one["predict_scores"][name] for name in names} for one in records]
    human = [one["scores"]["overall"] for one in records]
    rule = find_preset("instructmining", ["reward"])
    found = preflight(parts, rule)
    assert found.rows == 360
    assert found.correlation["naturalness"]["understandability"] == pytest.approx(0.9996, abs=5e-5)
    assert fmean(abs(row["naturalness"] - row["understandability"]) for row in parts) == (
        pytest.approx(0.005, abs=5e-4)
    )
    assert found.spread["total"] == pytest.approx(
        {"mean": -0.009, "sd": 0.058, "least": -0.143, "greatest": 0.123}, abs=5e-4
    )
    assert found.with_total == pytest.approx(
        {"naturalness": -0.41, "understandability": -0.41, "coherence": 0.77}, abs=5e-3
    )
    composite = [rule.value(row) for row in parts]
    coherent = [
        (row, value) for row, value in zip(parts, composite, strict=True) if row["coherence"] > 0.9
    ]
    low = [value for row, value in coherent if row["understandability"] < 0.2]
    high = [value for row, value in coherent if row["understandability"] > 0.9]
    assert (len(low), len(high)) == (20, 167)
    assert (fmean(low), fmean(high)) == pytest.approx((0.116, 0.006), abs=5e-4)
    plain_sum = [sum(row.values()) for row in parts]
    without = [find_preset("no_und", ["reward"]).value(row) for row in parts]
    for values, expected in ((composite, 0.17), (plain_sum, 0.64), (without, 0.64)):
        assert spearman(values, human) == pytest.approx(expected, abs=5e-3)
    assert len(found.warnings) == 3
    assert preflight(parts, find_preset("balanced", ["reward"])).warnings == ()
