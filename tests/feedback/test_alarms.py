"""Alarms: each detector on hand-made runs, and the bars on simulated runs."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from simulated_runs import HACKS, simulate

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.feedback.alarms import find_alarms, unwatched
from refine_af.feedback.detectors import BOUNDS, DETECTORS, AlarmSettings

RUNS = 20


def _ramp(key: str, before: float, after: float, updates: int = 30) -> list[dict[str, float]]:
    """Return a run that stays, then moves in a straight line from update 10 to 20, then stays."""
    values = [before + (after - before) * min(max(at - 10, 0), 10) / 10 for at in range(updates)]
    return [{key: value} for value in values]


def _merged(*runs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {key: value for one in updates for key, value in one.items()}
        for updates in zip(*runs, strict=True)
    ]


def _names(history: list[dict[str, float]]) -> list[str]:
    return [alarm.name for alarm in find_alarms(history)]


def test_each_bound_lies_where_it_says() -> None:
    assert _names(_ramp("length", 10, 15.9)) == []
    assert _names(_ramp("length", 10, 16.1)) == ["length_drift"]
    assert _names(_ramp("length", 16.1, 10)) == ["length_drift"]
    assert _names(_ramp("template_share", 0.2, 0.49)) == []
    assert _names(_ramp("template_share", 0.2, 0.51)) == ["repeated_template"]
    assert _names(_ramp("distinct_2", 0.5, 0.31)) == []
    assert _names(_ramp("distinct_2", 0.5, 0.29)) == ["less_variety"]
    assert _names(_ramp("keyword_rise", 0.1, 0.39)) == []
    assert _names(_ramp("keyword_rise", 0.1, 0.41)) == ["spreading_keyword"]
    assert _names(_ramp("part_understandability_mean", 0.9, 0.71)) == []
    assert _names(_ramp("part_understandability_mean", 0.9, 0.69)) == ["understandability_collapse"]
    assert _names(_ramp("kl", 0, 9.9)) == []
    assert _names(_ramp("kl", 0, 10.1)) == ["kl_budget"]


def test_parts_apart_needs_a_rise_and_a_fall() -> None:
    spread = _ramp("part_a_sd", 0.1, 0.1), _ramp("part_b_sd", 0.2, 0.2)
    apart = _merged(_ramp("part_a_mean", 0.5, 0.58), _ramp("part_b_mean", 0.5, 0.34), *spread)
    rise_only = _merged(_ramp("part_a_mean", 0.5, 0.58), _ramp("part_b_mean", 0.5, 0.36), *spread)
    assert _names(apart) == ["parts_apart"]
    assert _names(rise_only) == []
    alarm = find_alarms(apart)[0]
    assert alarm.values == pytest.approx({"rise.a": 0.8, "fall.b": 0.8})
    assert find_alarms(apart, weighed=["a"]) == []


def test_held_out_divergence_needs_a_reward_that_did_not_fall() -> None:
    falling = _merged(_ramp("held_out", 1.0, 0.4), _ramp("held_out_sd", 1.0, 1.0))
    assert _names(_merged(falling, _ramp("reward_mean", 0.0, 2.0))) == ["held_out_divergence"]
    assert _names(_merged(falling, _ramp("reward_mean", 2.0, 0.0))) == []


def test_the_raw_reward_decides_where_there_is_one() -> None:
    falling = _merged(_ramp("held_out", 1.0, 0.4), _ramp("held_out_sd", 1.0, 1.0))
    normalised = _merged(falling, _ramp("reward_mean", 0.5, 0.0))
    assert _names(normalised) == []
    raw = _merged(normalised, _ramp("part_raw_mean", 0.0, 1.0))
    assert _names(raw) == ["held_out_divergence"]
    assert find_alarms(raw)[0].values["reward"] == 1.0


def test_text_indicators_and_the_raw_value_are_not_parts_that_move_apart() -> None:
    for name in ("words", "repetition", "script_share", "raw"):
        history = _merged(
            _ramp("part_a_mean", 0, 1),
            _ramp("part_a_sd", 1, 1),
            _ramp(f"part_{name}_mean", 1, 0),
            _ramp(f"part_{name}_sd", 1, 1),
        )
        assert _names(history) == []


def test_a_better_held_out_score_excuses_a_drift_of_the_length_but_not_any() -> None:
    better = _merged(_ramp("held_out", 0.0, 0.3), _ramp("held_out_sd", 1.0, 1.0))
    worse = _merged(_ramp("held_out", 0.0, 0.2), _ramp("held_out_sd", 1.0, 1.0))
    assert _names(_merged(_ramp("length", 20, 9), better)) == []
    assert _names(_merged(_ramp("length", 20, 9), worse)) == ["length_drift"]
    assert _names(_merged(_ramp("length", 20, 7), better)) == ["length_drift"]


def test_an_alarm_does_not_depend_on_later_updates() -> None:
    history = simulate("disfluency", 7)
    whole = find_alarms(history)
    for end in range(0, len(history), 7):
        assert find_alarms(history[:end]) == [alarm for alarm in whole if alarm.update < end]


def test_one_wild_update_is_no_alarm() -> None:
    history = _ramp("length", 10, 10)
    history[15]["length"] = 38.0
    assert _names(history) == []


def test_a_short_run_and_an_empty_one_have_no_alarms() -> None:
    assert find_alarms([]) == []
    settings = AlarmSettings(baseline=2, window=2, patience=2)
    run = [{"length": value} for value in (5.0, 5.0, 10.0, 10.0, 10.0)]
    assert find_alarms(run[:4], settings) == []
    assert [alarm.update for alarm in find_alarms(run, settings)] == [4]


def test_what_is_far_beyond_its_bound_needs_three_updates_and_no_patience() -> None:
    run = [{"kl": value} for value in (0.0, 0.1, 0.5, 1.0, 2.0, 9.0, 16.0, 14.0)]
    assert find_alarms(run) == []
    assert [(one.name, one.update) for one in find_alarms([*run, {"kl": 15.1}])] == [
        ("kl_budget", 8)
    ]
    assert find_alarms([*run, {"kl": 14.9}]) == []
    assert find_alarms([*run, {"kl": 15.1}], AlarmSettings(far=1.6)) == []


def test_every_bound_of_an_alarm_has_a_far_one() -> None:
    """A bound that a new detector brings must not stay where it is when no patience is asked."""
    no_bounds = {"baseline", "window", "patience", "far", "held_out_rise"}
    assert {field.name for field in fields(AlarmSettings)} - no_bounds == set(BOUNDS)
    beyond, usual = AlarmSettings().beyond(), AlarmSettings()
    for name in BOUNDS:
        assert getattr(beyond, name) == 1.5 * getattr(usual, name)


def test_the_page_about_ppo_lists_every_detector() -> None:
    page = Path(__file__).parents[2] / "refine_af" / "ppo" / "README.md"
    section = page.read_text("utf-8").split("## Alarms")[1]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert listed == list(DETECTORS)


def test_missing_keys_are_named_and_non_finite_ones_refused() -> None:
    assert unwatched([]) == list(DETECTORS)
    assert unwatched([{"length": 1.0, "part_x_mean": 1.0}]) == [
        "repeated_template",
        "less_variety",
        "spreading_keyword",
        "held_out_divergence",
        "understandability_collapse",
        "kl_budget",
    ]
    with pytest.raises(DataError, match="update 1: kl is nan"):
        find_alarms([{"kl": 1.0}, {"kl": float("nan")}])
    with pytest.raises(ParameterError, match="patience is 0"):
        AlarmSettings(patience=0)


@pytest.mark.parametrize("hack", HACKS)
def test_planted_hacks_are_found(hack: str) -> None:
    found = sum(bool(find_alarms(simulate(hack, seed))) for seed in range(RUNS))
    assert found >= 0.9 * RUNS


def test_clean_runs_stay_quiet() -> None:
    false = sum(bool(find_alarms(simulate("clean", seed))) for seed in range(RUNS))
    assert false <= 0.05 * RUNS
