"""The reward: presets, normalisation, guards, floor, state and refusals."""

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.feedback.guards import broken_guards
from refine_af.feedback.indicators import TextIndicators, repeated_share, script_share
from refine_af.feedback.interface import Parts, Triplet, Unscored
from refine_af.feedback.normalise import RunningMoments
from refine_af.feedback.params import RewardParams
from refine_af.feedback.presets import PRESETS, Preset, find_preset
from refine_af.feedback.reward import Reward

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
PLAIN = RewardParams(reward_normalise=False, guards=False)


class ByText:
    """A scorer whose parts are computed from the output's text."""

    def __init__(self, **parts: Callable[[str], float]) -> None:
        self.name = "by_text"
        self.part_names: tuple[str, ...] = tuple(parts)
        self._parts = parts

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the parts."""
        return [{name: part(row.output) for name, part in self._parts.items()} for row in rows]


def _row(output: str) -> Triplet:
    return Triplet("Say it.", "", output)


def _number(text: str) -> float:
    return float(text.split()[0])


def _of(preset: str, **values: Any) -> RewardParams:  # noqa: ANN401
    return RewardParams(reward=preset, judge="m", judge_engine="scripted", **values)


def _reward(**values: Any) -> Reward:  # noqa: ANN401
    return Reward([ByText(reward=_number)], _of("reward_model", **values))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_give_their_test_vectors(preset: Preset) -> None:
    assert preset.vectors
    for parts, value in preset.vectors:
        assert preset.value(parts) == pytest.approx(value, abs=5e-7)


def test_the_paper_rule_by_hand_through_the_reward() -> None:
    parts = {"reward": 1.0, "understandability": 0.9, "naturalness": 0.95, "coherence": 0.8}
    scorer = ByText(**{name: (lambda _, value=value: value) for name, value in parts.items()})
    scored = Reward([scorer], PLAIN, find_preset("instructmining")).score([_row("Fine.")])[0]
    # 0.0078 - 0.39789 + 0.30514 + 0.1216 - 0.0274
    assert scored.total == scored.raw == pytest.approx(0.00925, abs=1e-12)
    assert parts.items() <= scored.parts.items()


def test_dropping_a_term_gives_the_rule_without_it() -> None:
    full, dropped = find_preset("instructmining"), find_preset("no_und")
    assert dict(full.without(["understandability"]).weights) == dict(dropped.weights)
    with pytest.raises(ParameterError, match="no such term; Did you mean 'coherence'"):
        find_preset("balanced", ["coherense"])
    with pytest.raises(ParameterError, match="would be empty"):
        find_preset("reward_model", ["reward"])


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'balanced'"):
        find_preset("ballanced")


def test_balanced_is_z_scored_reward_plus_mean_z_of_the_others() -> None:
    rng = random.Random(5)
    table = {str(at): [rng.gauss(0, scale) for scale in (5, 0.1, 0.3, 0.2)] for at in range(40)}
    names = ("reward", "naturalness", "coherence", "understandability")
    scorer = ByText(
        **{name: (lambda text, at=at: table[text][at]) for at, name in enumerate(names)}
    )
    reward = Reward([scorer], PLAIN)
    columns = list(zip(*table.values(), strict=True))
    scored = reward.score([_row(text) for text in table])
    for values, found in zip(table.values(), scored, strict=True):
        z = [
            (value - fmean(column)) / pstdev(column)
            for value, column in zip(values, columns, strict=True)
        ]
        assert found.raw == pytest.approx(z[0] + fmean(z[1:]), abs=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=60))
def test_running_moments_equal_two_passes(values: list[float]) -> None:
    moments = RunningMoments()
    moments.observe(values)
    scale = max(1.0, *map(abs, values))
    assert moments.mean == pytest.approx(fmean(values), abs=1e-9 * scale)
    expected = pstdev(values)
    if expected > 1e-6 * scale:
        assert moments.deviation == pytest.approx(expected, rel=1e-5)


@given(st.lists(NUMBERS, max_size=20), st.lists(NUMBERS, max_size=20))
def test_moments_continue_bit_for_bit_from_json(first: list[float], second: list[float]) -> None:
    whole, early, late = RunningMoments(), RunningMoments(), RunningMoments()
    whole.observe([*first, *second])
    early.observe(first)
    late.set_state(json.loads(json.dumps(early.get_state())))
    late.observe(second)
    assert late == whole


def test_moments_of_one_value_normalise_to_zero_and_clip() -> None:
    moments = RunningMoments()
    moments.observe([3.0])
    assert moments.normalise(3.0) == 0.0
    moments.observe([5.0])
    assert moments.normalise(5.0) == 1.0
    assert moments.normalise(1e9, clip=5.0) == 5.0
    with pytest.raises(DataError, match="nan"):
        moments.observe([math.nan])


def test_normalised_totals_by_hand() -> None:
    scored = _reward(guards=False).score([_row("1"), _row("3"), _row("5")])
    step = 2 / math.sqrt(8 / 3)
    assert [one.total for one in scored] == pytest.approx([-step, 0, step])
    assert [one.raw for one in scored] == [1.0, 3.0, 5.0]


ACTIONS = st.lists(st.none() | st.integers(-99, 99), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_the_floor_is_below_every_real_total_ever_returned(
    calls: list[list[int | None]], normalise: bool, guards: bool
) -> None:
    reward = _reward(reward_normalise=normalise, guards=guards)
    lowest = math.inf
    for call in calls:
        rows = [None if value is None else _row(f"{value} " * (1 + value % 9)) for value in call]
        scored = reward.score(rows)
        real = [one.total for row, one in zip(rows, scored, strict=True) if row is not None]
        lost = [one for row, one in zip(rows, scored, strict=True) if row is None]
        lowest = min([lowest, *real])
        for one in lost:
            assert one.total < lowest
            assert (one.parts, one.flags) == ({}, ("unparseable",))
        if normalise:
            assert reward.floor >= -5.0 - 4.0 - 0.5


def test_unparseable_rows_do_not_move_the_statistics() -> None:
    with_lost, without = _reward(), _reward()
    rows = [_row("1 a"), _row("2 b"), _row("4 c")]
    assert with_lost.score([None, *rows, None])[1:4] == without.score(rows)
    assert with_lost.get_state() == without.get_state()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=20), st.randoms())
def test_totals_do_not_depend_on_order_or_on_piecewise_measuring(
    values: list[int], chance: random.Random
) -> None:
    rows = [_row(f"{value} words here") for value in values]
    order = list(range(len(rows)))
    chance.shuffle(order)
    whole = _reward().score(rows)
    reward = _reward()
    parts = [reward.measure([rows[at]])[0] for at in order]
    reward.observe(parts)
    shuffled = reward.combine(parts)
    for place, at in enumerate(order):
        assert shuffled[place].total == pytest.approx(whole[at].total, abs=1e-9)


def test_a_resumed_reward_is_bit_identical() -> None:
    batches = [[_row(f"{at * 0.1 + step} x") for at in range(7)] for step in range(4)]
    whole = _reward()
    expected = [whole.score(batch) for batch in batches]
    early = _reward()
    found = [early.score(batch) for batch in batches[:2]]
    late = _reward()
    late.set_state(json.loads(json.dumps(early.get_state())))
    assert found + [late.score(batch) for batch in batches[2:]] == expected
    with pytest.raises(DataError, match="preset 'reward_model'"):
        Reward([ByText(judge=_number)], _of("judge")).set_state(early.get_state())


def test_a_standardised_rule_keeps_its_reference_so_that_a_drift_shows() -> None:
    preset = find_preset("embedded")
    scorer = ByText(**dict.fromkeys(preset.weights, _number))
    reward = Reward([scorer], _of("embedded", reward_reference_rows=3, guards=False))
    reward.score([_row("1"), _row("3")])
    reward.score([_row("5"), _row("7")])  # the call that fills the reference counts whole
    late = reward.score([_row("100"), _row("102")])
    weight = sum(preset.weights.values())
    assert late[0].raw == pytest.approx(weight * (100 - 4) / math.sqrt(5))
    assert late[0].parts["raw"] == late[0].raw


def test_a_frozen_score_changes_no_statistics() -> None:
    reward = _reward()
    reward.score([_row("1 a"), _row("2 b")])
    before = reward.get_state()["raw"]
    reward.score([_row("900 a")], learn=False)
    assert reward.get_state()["raw"] == before


def test_each_broken_guard_costs_one_deviation() -> None:
    rows = [_row("1 fine words"), _row("3 a b c a b c a b c a b c a b c"), _row("5 да нет")]
    plain = _reward(guards=False).score(rows)
    guarded = _reward(guard_penalty=1.0).score(rows)
    assert [one.flags for one in guarded] == [(), ("repetitive",), ("wrong_script",)]
    drops = [one.total - other.total for one, other in zip(plain, guarded, strict=True)]
    assert drops == pytest.approx([0, 1, 1])
    raw = _reward(reward_normalise=False).score(rows)
    assert raw[1].total == pytest.approx(3 - math.sqrt(8 / 3))


def test_guard_bounds_and_refusals() -> None:
    parts = {"words": 512.0, "repetition": 0.5, "script_share": 0.5}
    usual = RewardParams()
    assert broken_guards(parts, usual) == ()
    assert broken_guards(parts | {"words": 513.0}, usual) == ("too_long",)
    assert broken_guards(parts | {"words": 0.0}, usual) == ("too_short",)
    refused: list[dict[str, Any]] = [
        {"guard_min_words": 5, "guard_max_words": 4},
        {"guard_repetition": 1.5},
        {"guard_penalty": -1.0},
    ]
    for values in refused:
        with pytest.raises(ParameterError, match="guard_"):
            RewardParams.parse(values)


def test_text_indicators_by_hand() -> None:
    assert repeated_share(["a", "b", "a", "b", "a", "b", "a", "b"]) == pytest.approx(0.6)
    assert repeated_share(["a", "b", "c"]) == 0.0
    assert script_share("да yes", "LATIN") == pytest.approx(3 / 5)
    assert script_share("да yes", "LATIN", prompt="Переведи: yes") == 1.0
    assert script_share("42 + 1", "LATIN") == 1.0
    row = Triplet("Translate.", "x", "Один два")
    assert TextIndicators().score([row]) == [{"words": 2.0, "repetition": 0.0, "script_share": 0.0}]


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (ByText(reward=lambda _: math.nan), r"row 1: part 'reward' is nan"),
        (ByText(reward=lambda _: math.inf), r"row 1: part 'reward' is inf"),
    ],
)
def test_a_score_that_is_not_finite_is_refused(scorer: ByText, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Reward([scorer], _of("reward_model")).score([_row("x")])


class Short(ByText):
    """Forgets the last row."""

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the parts."""
        return super().score(rows)[:-1]


class Renamed(ByText):
    """Returns another part than it promised."""

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the parts."""
        return [{"other": 1.0} for _ in rows]


def test_a_wrong_number_of_scores_and_wrong_parts_are_refused() -> None:
    with pytest.raises(DataError, match="returned 1 scores for 2 rows"):
        Reward([Short(reward=_number)], _of("reward_model")).score([_row("1"), _row("2")])
    with pytest.raises(DataError, match=r"found the parts \['other'\]"):
        Reward([Renamed(reward=_number)], _of("reward_model")).score([_row("1")])


def test_parts_must_come_from_exactly_one_scorer() -> None:
    with pytest.raises(ParameterError, match="weighs naturalness, coherence, understandability"):
        Reward([ByText(reward=_number)], _of("balanced"))
    with pytest.raises(ParameterError, match="both give the part 'words'"):
        Reward([ByText(reward=_number, words=_number)], _of("reward_model"))


def test_an_empty_call_and_a_first_call_without_a_real_row() -> None:
    reward = _reward()
    assert reward.score([]) == []
    assert reward.score([None])[0].total == -5.5


def test_importing_feedback_and_opening_loads_no_heavy_library() -> None:
    script = (
        "import sys, pkgutil, importlib, refine_af.feedback as f\n"
        "for found in pkgutil.iter_modules(f.__path__, f.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
        "import refine_af.engines.scorers.opening\n"
        "print([m for m in ('torch', 'transformers', 'kfp') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class Gaps:
    """A scorer that cannot score outputs of one letter."""

    name = "gaps"
    part_names: tuple[str, ...] = ("reward",)

    def score(self, rows: Sequence[Triplet]) -> list[Parts | Unscored]:
        """Return the number in each output."""
        return [
            Unscored("too short") if len(row.output) == 1 else {"reward": float(row.output)}
            for row in rows
        ]


def test_a_row_without_a_score_gets_the_mean_and_moves_no_statistic() -> None:
    rows = [_row("10"), _row("x"), _row("30"), None]
    reward = Reward([Gaps()], _of("reward_model", reward_normalise=False, guards=False))
    first, unscored, last, lost = reward.score(rows)
    assert (first.total, last.total) == (10.0, 30.0)
    assert (unscored.total, unscored.parts, unscored.flags) == (20.0, {}, ("unscored",))
    assert lost.flags == ("unparseable",)
    alone = Reward([Gaps()], _of("reward_model", reward_normalise=False, guards=False))
    alone.score([_row("10"), _row("30")])
    assert reward.get_state() == alone.get_state()
