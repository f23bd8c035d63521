"""The rows of the ablations' arms, and their tables from made runs."""

import argparse
import json
from pathlib import Path

import pytest
import real_ablations
from real_ablations import Finished, drawn, pair

from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Rejected


def test_rows_are_short_and_one_of_each_instruction() -> None:
    rows = [pair("a", "Name a colour.", "", "red"), pair("b", "Name a colour.", "", "blue")]
    rows += [pair("c", "Add.", "1 2", "3"), pair("d", "Say on.", "", "word " * 61)]
    rows += [pair("e", "Read.", "word " * 160, "yes")]
    for seed in range(5):
        chosen = drawn(rows, 2, seed)
        assert {row.instruction for row in chosen} == {"Name a colour.", "Add."}
        assert chosen == drawn(rows, 2, seed)
    with pytest.raises(ValueError, match="2 short rows of different instructions; 3 are needed"):
        drawn(rows, 3, 1)


def test_an_arm_has_as_many_rows_and_the_settings_of_the_baseline(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "train_sft-baseline"
    folder.mkdir(parents=True)
    (folder / "metrics").write_text(json.dumps({"rows": 70}))
    (folder / "provenance").write_text(json.dumps({"params": {"max_steps": 8}}))
    seed = Finished(1, tmp_path, tmp_path / "more")
    assert seed.rows() == 70
    assert seed.params("train_sft-baseline") == {"max_steps": 8}


def test_the_worst_pair_of_each_instruction_is_the_one_that_scored_lowest(tmp_path: Path) -> None:
    judged = tmp_path / "artifacts" / "score_rewards-best_of_n"
    made = tmp_path / "artifacts" / "generate_instances-best_of_n"
    for folder in (judged, made, tmp_path / "more"):
        folder.mkdir(parents=True)
    rows = {text: pair(text[0], "Add.", text, "3") for text in ("a1", "a2", "a3", "b1")}
    write_rows(made / "instances", rows.values())
    best = [rows["a2"].model_copy(update={"total": 0.5}), rows["b1"]]
    write_rows(judged / "scored", [row.model_copy(update={"total": 0.5}) for row in best])
    lost = [
        Rejected.make("score_rewards", "not_best", "3", (rows[name].id,), key=name, score=score)
        for name, score in (("a1", -1.0), ("a3", 0.2))
    ]
    write_rows(judged / "rejected", lost)
    seed = Finished(1, tmp_path, tmp_path / "more")
    path = real_ablations.rows_of_worst_choice(seed, argparse.Namespace())
    assert [row.input for row in read_rows(path, Instance)] == ["a1", "b1"]


def test_rated_arms_hold_two_pairs_of_the_best_or_worst_rated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "artifacts" / "generate_instances-best_of_n"
    sft = tmp_path / "artifacts" / "train_sft-baseline"
    for folder in (made, sft, tmp_path / "more"):
        folder.mkdir(parents=True)
    names = ("a1", "a2", "a3", "b1", "b2", "c1", "c2", "c3")
    write_rows(made / "instances", [pair(name, name[0], name, "3") for name in names])
    (sft / "metrics").write_text(json.dumps({"rows": 3}))
    rated = {"a": 0.2, "b": 0.9, "c": -0.4}
    monkeypatch.setattr(real_ablations, "ratings", lambda _, texts: [rated[t] for t in texts])
    seed = Finished(1, tmp_path, tmp_path / "more")
    for arm, chosen in (("rated_high", ["b1", "b2", "a1"]), ("rated_low", ["c1", "c2", "a1"])):
        path = real_ablations.ARMS[arm](seed, argparse.Namespace())
        assert [row.input for row in read_rows(path, Instance)] == chosen


def test_rewards_and_curves_of_study_and_ablations_stand_together(tmp_path: Path) -> None:
    study, more = tmp_path / "study", tmp_path / "more"
    for folder, totals in (
        (study / "artifacts" / "score_rewards-rl", (0.0, 1.0)),
        (more / "score_rewards-rl_long", (1.0, 2.0)),
    ):
        folder.mkdir(parents=True)
        rows = [pair(f"{x}", "Add.", "1 2", "3").model_copy(update={"total": x}) for x in totals]
        write_rows(folder / "scored", rows)
    for folder, updates in (
        (study / "artifacts" / "train_ppo", 6),
        (more / "train_ppo-rl_long", 12),
    ):
        folder.mkdir(parents=True)
        curve = [{"reward_mean": float(n), "kl": n / 10} for n in range(updates)]
        write_rows(folder / "curves", curve)
    seeds = [Finished(3, study, more)]
    # the standard error of two values is half their distance
    assert real_ablations.reward_lines(seeds)[2:] == [
        "| rl | 3 | 2 | +0.50 | 0.50 |",
        "| rl_long | 3 | 2 | +1.50 | 0.50 |",
    ]
    first, second = real_ablations.ppo_lines(seeds)[2:]
    assert first == "| rl | 3 | 6 | +0.00, +1.00, +2.00, +3.00, +4.00, +5.00 | 0.50 |"
    assert second == "| rl_long | 3 | 12 | +0.50, +2.50, +4.50, +6.50, +8.50, +10.50 | 1.10 |"
