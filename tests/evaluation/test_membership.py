import numpy as np
import pytest

from refine_af.contracts.errors import DataError
from refine_af.evaluation.membership import attack, auc, audit, tpr_at


def test_auc_by_counting_pairs() -> None:
    members, others = np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 0.0, 2.5])
    pairs = [(one > other) + (one == other) / 2 for one in members for other in others]
    assert auc(members, others) == pytest.approx(sum(pairs) / len(pairs))


def test_true_positives_at_one_percent_by_hand() -> None:
    others = np.arange(200, dtype=np.float64)  # 1 % allows two: 199 and 198, so the bound is 197
    assert tpr_at(np.array([197.0, 197.5, 300.0, 5.0]), others, 0.01) == 0.5
    assert tpr_at(np.array([98.0, 100.0]), np.arange(99, dtype=np.float64), 0.01) == 0.5


def test_an_attack_finds_members_and_its_interval_holds_the_area() -> None:
    source = np.random.default_rng(1)
    found = attack(list(source.normal(1, 1, 300)), list(source.normal(0, 1, 300)), seed=1)
    assert found.low < 0.76 < found.high  # P(N(1, 2) > 0) = 0.760
    assert found.low <= found.auc <= found.high
    assert not found.warning


def test_members_that_look_like_strangers_are_a_fault_of_the_split() -> None:
    found = attack([0.0] * 20, [1.0] * 20, seed=1)
    assert found.auc == 0.0
    assert "worse than a coin" in found.warning


def test_calibration_removes_what_is_easy_for_the_base_model_too() -> None:
    source = np.random.default_rng(2)
    hard, easy = source.normal(5, 3, 400), source.normal(5, 3, 400)
    losses = {"target": (list(hard - 0.5), list(easy)), "base": (list(hard), list(easy))}
    found = audit(losses, seed=1)
    assert found["calibrated_loss"]["auc"] == 1.0
    assert found["loss"]["auc"] < 0.65
    assert "reference_model" not in found


def test_too_few_rows_are_no_audit() -> None:
    with pytest.raises(DataError, match="held_out_share"):
        attack([1.0] * 9, [1.0] * 50, seed=1)
