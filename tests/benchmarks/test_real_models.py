"""The numbers of the study on real models, by hand, and its table from a made run."""

import json
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import real_models

from refine_af.contracts.records import Prediction


def prediction(task: str, answer: str, reference: str, rouge: float) -> Prediction:
    return Prediction(
        id=f"{task}-{answer}",
        task=task,
        category="c",
        instance=f"{task}-1",
        prediction=answer,
        references=(reference,),
        rouge_l=rouge,
        exact_match=float(answer == reference),
    )


def test_an_answer_is_cut_to_the_longest_reference() -> None:
    assert real_models.cut("a b  c d", ("x", "y z")) == "a b"
    assert real_models.cut("a", ("x y",)) == "a"


def test_cut_answers_are_scored_anew() -> None:
    # "red" of "red and very green": F1 = 2 * 1 / (4 + 1) = 0.4; cut to one word it is right
    rows = [prediction("t", "red and very green", "red", 0.4)]
    assert real_models.task_means(rows) == {"t": 0.4}
    assert real_models.task_means(rows, shortened=True) == {"t": 1.0}


def test_the_mean_over_seeds_decides_a_task() -> None:
    # tasks: +0.1 and -0.3 is lost, +0.2 and -0.2 is tied, +0.1 and 0 is won
    deltas = np.array([[0.1, 0.2, 0.1], [-0.3, -0.2, 0.0]])
    assert real_models.outcomes(deltas) == (1, 1, 1)
    row = real_models.line(("rl", "baseline"), "mean", deltas)
    assert row["win_share"] == 0.5
    assert row["mean_difference"] == pytest.approx(100 * -0.1 / 6)


def test_tasks_that_show_a_share() -> None:
    # ((1.95996 * 0.5 + 0.84162 * sqrt(0.24)) / 0.1) ** 2 = 193.85; with half of them tied 387.7
    assert real_models.tasks_needed(0.6, 0.0) == 194
    assert real_models.tasks_needed(0.6, 0.5) == 388
    # phi(0.25335 * sqrt(3)) = phi(0.43881)
    assert real_models.share_over_seeds(0.6, 3) == pytest.approx(0.66960, abs=1e-4)
    assert real_models.share_over_seeds(0.6, 1) == pytest.approx(0.6)


def test_power_comes_from_the_spread_of_the_repeated_arm() -> None:
    deltas = np.array([[0.0, 0.02, -0.02, 0.0]])
    found = real_models.power_table(deltas)
    # squares 4e-4 + 4e-4 over n - 1 = 3
    spread = 100 * sqrt(8e-4 / 3)
    assert found["aa_tied"] == 0.5
    assert found["aa_spread_of_a_task"] == pytest.approx(spread)
    normal = NormalDist()
    seen = (normal.inv_cdf(0.975) + normal.inv_cdf(0.8)) * spread / 2
    assert found["mean_difference_seen"] == pytest.approx(seen, rel=1e-3)


def test_the_table_has_every_pair_as_written_and_cut() -> None:
    def seed(better: str) -> dict[str, list[Prediction]]:
        right = (better, "baseline_b")
        return {
            arm: [
                prediction("one", "red" if arm in right else "no", "red", float(arm in right)),
                prediction("two", "red", "red", 1.0),
            ]
            for arm in real_models.STUDIES["refine-af"].arms
        }

    found = real_models.tables({1: seed("rl"), 2: seed("rl")})
    first = [row for row in found["as_written"] if row["pair"] == "rl against baseline"]
    assert [row["seeds"] for row in first] == ["1", "2", "mean"]
    assert (first[2]["wins"], first[2]["ties"], first[2]["losses"]) == (1, 1, 0)
    assert first[2]["mean_difference"] == pytest.approx(50)
    assert found["arms"]["rl"]["mean_words"] == 1
    text = real_models.markdown(found)
    assert "| rl against baseline | mean | 1, 1, 0 | 100.0 % |" in text
    assert "50 % of tasks are tied" in text
    assert text.count("Cut to the reference's length:") == 1


def test_without_a_twin_arm_seeds_of_one_arm_stand_against_each_other() -> None:
    study = real_models.STUDIES["teams-rl"]
    seeds = [{"uniform": {"one": value}} for value in (0.1, 0.4, 0.2)]
    label, found = real_models.repeated_runs(seeds, study)
    assert label == ("uniform", "uniform with another seed")
    assert found[:, 0] == pytest.approx([0.1 - 0.4, 0.1 - 0.2, 0.4 - 0.2])
    assert real_models.repeated_runs(seeds[:1], study)[0] is None


def test_calls_are_counted_by_role_and_the_policy_s_training_is_the_learned_arm_s(
    tmp_path: Path,
) -> None:
    def ledger(task: str, **calls: int) -> None:
        path = tmp_path / "artifacts" / task / "ledger"
        path.parent.mkdir(parents=True)
        counts = {role: {"evolve": {"calls": n}} for role, n in calls.items()}
        for entry in counts.values():
            entry["evolve"] |= {"prompt_tokens": 0, "new_tokens": 0}
        path.write_text(json.dumps(counts), encoding="utf-8")

    ledger("train_operator_policy", evolver=7, judge=14)
    for arm in ("learned", "uniform"):
        ledger(f"evolve_instructions-{arm}", evolver=10)
        ledger(f"generate_responses-{arm}", responder=5)
        kept = tmp_path / "artifacts" / f"dedup_filter-{arm}" / "kept"
        kept.parent.mkdir(parents=True)
        kept.write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    found = real_models.calls_by_arm([tmp_path], real_models.STUDIES["teams-rl"])
    assert found == {
        "learned": {"evolver": 17, "judge": 14, "responder": 5, "kept": 2},
        "uniform": {"evolver": 10, "responder": 5, "kept": 2},
    }
