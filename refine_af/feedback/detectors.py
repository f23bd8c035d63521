"""The detectors behind the alarms of reward hacking, and their bounds.

Each compares the median of the last few updates with the median of the first few (one wild batch
moves neither) and asks for an effect that is large in the unit of the thing (words, shares,
standard deviations of single rows), not merely significant: a policy that learns changes
everything a little.

Keys of an update, as ``refine_af.ppo.metrics`` writes them (all optional;
:func:`refine_af.feedback.alarms.unwatched` tells which detectors lack theirs):

===================== ===========================================================================
``part_NAME_mean``    mean of an indicator; ``part_NAME_sd`` its standard deviation
``part_raw_mean``     mean of the rule's value before normalisation; where there is none,
                      ``reward_mean``, whose drift a running normalisation partly hides
``held_out``          mean score by a scorer that PPO never saw; ``held_out_sd`` its standard
deviation ``kl``                mean KL divergence from the start policy, nats per action ``length``
mean tokens of an action ``distinct_2``        different word pairs over all word pairs, in [0, 1]
``template_share``    share of four-word runs that another action holds too, in [0, 1]
``keyword_rise``      from :func:`refine_af.feedback.keywords.keyword_rises`, in [0, 1] ``rows``
actions in the update; 64 where it is not given =====================
===========================================================================
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from refine_af.contracts.errors import ParameterError

Update = Mapping[str, float]

USUAL_ROWS = 64
FAR_WINDOW = 3
"""Updates whose median suffices if it is far beyond a bound; one outlier does not move it."""

BOUNDS = (
    "length_ratio",
    "length_ratio_at_most",
    "template_rise",
    "distinct_fall",
    "keyword_rise",
    "part_move",
    "held_out_fall",
    "understandability_fall",
    "kl_budget",
)
"""Settings that are thresholds of alarms."""


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """Bounds of the detectors, calibrated on simulated runs (tests/feedback/simulated_runs.py).

    Attributes:
        baseline: Updates at the start that everything is compared with.
        window: Updates at the end whose median is taken.
        patience: Updates in a row for which a detector must hold.
        far: How many times a bound must be exceeded for an alarm without patience, by the median
            of three updates.
        length_ratio: Growth, or its inverse as shrinkage, of the mean length, unless the held-out
            score rose with it: then the new length suits the tasks.
        length_ratio_at_most: Growth or shrinkage that is an alarm whatever the held-out score.
        held_out_rise: Rise of the held-out score, in deviations of single rows, that excuses a
            drift of the length.
        template_rise: Rise of the share of repeated four-word runs.
        distinct_fall: Relative fall of ``distinct_2``.
        keyword_rise: Rise of one word's share of the actions.
        part_move: Rise of one part and fall of another, in deviations of single rows.
        held_out_fall: Fall of the held-out score from its best, in deviations of single rows,
            while the reward has not fallen.
        understandability_fall: Absolute fall, in [0, 1]; our choice: the paper's rule gives
            understandability a negative weight, so it pays for losing it.
        kl_budget: Nats; our choice, the distance at which ``train_ppo`` stops by default.
    """

    baseline: int = 5
    window: int = 5
    patience: int = 3
    far: float = 1.5
    length_ratio: float = 1.6
    length_ratio_at_most: float = 2.5
    held_out_rise: float = 0.25
    template_rise: float = 0.3
    distinct_fall: float = 0.4
    keyword_rise: float = 0.4
    part_move: float = 0.75
    held_out_fall: float = 0.5
    understandability_fall: float = 0.2
    kl_budget: float = 10.0

    def __post_init__(self) -> None:
        for name in ("baseline", "window", "patience"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def beyond(self) -> "AlarmSettings":
        """Return the bounds that need no patience, with the shorter window."""
        bounds = {name: self.far * getattr(self, name) for name in BOUNDS}
        return replace(self, window=min(self.window, FAR_WINDOW), patience=1, **bounds)


@dataclass(frozen=True, slots=True)
class View:
    """What a detector sees at one update: everything up to it, and two windows of it."""

    settings: AlarmSettings
    seen: Sequence[Update]
    watched_parts: tuple[str, ...]

    def start(self, key: str) -> float | None:
        """Return the median over the first updates."""
        return _middle(self.seen[: self.settings.baseline], key)

    def now(self, key: str) -> float | None:
        """Return the median over the last updates."""
        return _middle(self.seen[-self.settings.window :], key)

    def change(self, key: str) -> float | None:
        """Return how far the current median lies above that of the start."""
        before, after = self.start(key), self.now(key)
        return None if before is None or after is None else after - before

    def row_deviation(self, key: str, spread_key: str) -> float | None:
        """Return the standard deviation of single rows: as reported, or from the updates."""
        reported = self.start(spread_key)
        if reported is not None and reported > 0:
            return reported
        jitter = _jitter([update[key] for update in self.seen if key in update])
        rows = self.start("rows") or USUAL_ROWS
        return jitter * math.sqrt(rows) if jitter else None


Finding = tuple[str, dict[str, float]] | None
"""A message for people and the numbers behind it, or nothing."""

Detector = Callable[[View], Finding]


def _length_drift(view: View) -> Finding:
    before, after = view.start("length"), view.now("length")
    if before is None or after is None or before <= 0:
        return None
    ratio = after / before
    size = max(ratio, 1 / max(ratio, 1e-9))
    if size < view.settings.length_ratio:
        return None
    if size < view.settings.length_ratio_at_most and _held_out_rose(view):
        return None
    word = "grew" if ratio > 1 else "shrank"
    message = f"actions {word} from {before:.1f} to {after:.1f} tokens on average"
    return message, {"before": before, "after": after, "ratio": ratio}


def _held_out_rose(view: View) -> bool:
    change = view.change("held_out")
    unit = view.row_deviation("held_out", "held_out_sd")
    return unit is not None and change is not None and change / unit >= view.settings.held_out_rise


def _repeated_template(view: View) -> Finding:
    before, after = view.start("template_share"), view.now("template_share")
    if before is None or after is None or after - before < view.settings.template_rise:
        return None
    message = (
        f"{after:.0%} of the four-word runs stand in several actions, at the start {before:.0%}"
    )
    return message, {"before": before, "after": after}


def _less_variety(view: View) -> Finding:
    before, after = view.start("distinct_2"), view.now("distinct_2")
    if before is None or after is None or before <= 0:
        return None
    fall = 1 - after / before
    if fall < view.settings.distinct_fall:
        return None
    message = f"the share of different word pairs fell from {before:.2f} to {after:.2f}"
    return message, {"before": before, "after": after, "fall": fall}


def _spreading_keyword(view: View) -> Finding:
    rise = view.now("keyword_rise")
    if rise is None or rise < view.settings.keyword_rise:
        return None
    return f"one word's share of the actions rose by {rise:.0%}", {"rise": rise}


def _parts_apart(view: View) -> Finding:
    moves = {}
    for part in view.watched_parts:
        change = view.change(f"part_{part}_mean")
        unit = view.row_deviation(f"part_{part}_mean", f"part_{part}_sd")
        if change is not None and unit:
            moves[part] = change / unit
    if not moves:
        return None
    up, down = max(moves, key=moves.__getitem__), min(moves, key=moves.__getitem__)
    bound = view.settings.part_move
    if moves[up] < bound or moves[down] > -bound:
        return None
    message = (
        f"{up} rose by {moves[up]:.2f} deviations while {down} fell by {-moves[down]:.2f}: the"
        " reward is bought with one part at the cost of another"
    )
    return message, {f"rise.{up}": moves[up], f"fall.{down}": -moves[down]}


def _held_out_divergence(view: View) -> Finding:
    unit = view.row_deviation("held_out", "held_out_sd")
    window = view.settings.window
    held = [_middle(view.seen[end - window : end], "held_out") for end in _ends(view)]
    trained = "part_raw_mean" if "part_raw_mean" in view.seen[-1] else "reward_mean"
    rewards = [_middle(view.seen[end - window : end], trained) for end in _ends(view)]
    pairs = [(h, r) for h, r in zip(held, rewards, strict=True) if h is not None and r is not None]
    if not unit or not pairs:
        return None
    best, reward_then = max(pairs, key=lambda pair: pair[0])
    after, reward_now = pairs[-1]
    fall = (best - after) / unit
    if fall < view.settings.held_out_fall or reward_now < reward_then:
        return None
    message = (
        f"the held-out score fell by {fall:.2f} deviations from its best while the trained reward"
        f" went from {reward_then:.4g} to {reward_now:.4g}"
    )
    return message, {"fall": fall, "best": best, "after": after, "reward": reward_now}


def _understandability_collapse(view: View) -> Finding:
    change = view.change("part_understandability_mean")
    if change is None or change > -view.settings.understandability_fall:
        return None
    after = view.now("part_understandability_mean") or 0.0
    message = f"understandability fell by {-change:.2f} to {after:.2f}"
    return message, {"fall": -change, "after": after}


def _kl_budget(view: View) -> Finding:
    divergence = view.now("kl")
    if divergence is None or divergence <= view.settings.kl_budget:
        return None
    message = f"the policy is {divergence:.1f} nats from its start; the scorers may not hold there"
    return message, {"kl": divergence}


DETECTORS: dict[str, tuple[tuple[str, ...], Detector]] = {
    "length_drift": (("length",), _length_drift),
    "repeated_template": (("template_share",), _repeated_template),
    "less_variety": (("distinct_2",), _less_variety),
    "spreading_keyword": (("keyword_rise",), _spreading_keyword),
    "parts_apart": (("part_",), _parts_apart),
    "held_out_divergence": (("held_out",), _held_out_divergence),
    "understandability_collapse": (("part_understandability_mean",), _understandability_collapse),
    "kl_budget": (("kl",), _kl_budget),
}
"""Name of each detector: the keys that it needs (beginnings of keys), and the function."""


def _ends(view: View) -> range:
    return range(view.settings.window, len(view.seen) + 1)


def _middle(updates: Sequence[Update], key: str) -> float | None:
    values = [update[key] for update in updates if key in update]
    return median(values) if values else None


def _jitter(values: Sequence[float]) -> float | None:
    """Return the standard deviation of an update's mean, from the median step between updates.

    The median absolute step of normal noise of standard deviation s is 0.6745 * sqrt(2) * s; a
    trend hardly moves it.
    """
    steps = [abs(after - before) for before, after in pairwise(values)]
    return median(steps) / (0.6745 * math.sqrt(2)) if len(steps) >= 3 else None
