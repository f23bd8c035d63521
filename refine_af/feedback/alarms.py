"""Alarms of reward hacking: what the detectors find over the updates of a run.

What a detector sees must hold for several updates in a row, or be so far beyond its bound that
the last three updates are enough: a run that ends soon after its reward broke leaves no room for
more. An alarm never depends on later updates, and checking after every update gives the same
alarms as checking at the end. The numbers that are read stand in
:mod:`refine_af.feedback.detectors`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from refine_af.contracts.errors import DataError
from refine_af.feedback.detectors import DETECTORS, AlarmSettings, Detector, Update, View
from refine_af.feedback.indicators import TextIndicators
from refine_af.feedback.reward import RAW


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding.

    Attributes:
        name: The detector.
        update: Number of the update, from 0, at which it had held long enough.
        message: What was seen, for people.
        values: The numbers behind it.
    """

    name: str
    update: int
    message: str
    values: dict[str, float]


def find_alarms(
    history: Sequence[Update],
    settings: AlarmSettings | None = None,
    *,
    weighed: Sequence[str] = (),
) -> list[Alarm]:
    """Return the alarms of a run so far, each at the first update at which it held.

    Args:
        history: One mapping per update, from the first.
        settings: Bounds of the detectors.
        weighed: Parts that the reward weighs; all learned parts when empty.

    Raises:
        DataError: For a value that is not finite.

    A run shorter than ``baseline`` and three updates has no alarms, and one shorter than
    ``baseline + window + patience - 1`` those of far exceeded bounds alone.
    """
    settings = settings or AlarmSettings()
    _refuse_non_finite(history)
    parts = tuple(weighed) or _learned_parts(history)
    alarms = []
    for name, (_, detector) in DETECTORS.items():
        alarm = _first(name, detector, history, settings, parts)
        if alarm is not None:
            alarms.append(alarm)
    return sorted(alarms, key=lambda alarm: (alarm.update, alarm.name))


def unwatched(history: Sequence[Update]) -> list[str]:
    """Return the detectors that cannot work because the updates lack their keys."""
    keys = set().union(*history) if history else set()
    return [
        name
        for name, (needed, _) in DETECTORS.items()
        if not all(any(key.startswith(need) for key in keys) for need in needed)
    ]


def _first(
    name: str,
    detector: Detector,
    history: Sequence[Update],
    settings: AlarmSettings,
    parts: tuple[str, ...],
) -> Alarm | None:
    held, beyond = 0, settings.beyond()
    for end in range(settings.baseline + beyond.window, len(history) + 1):
        far = detector(View(beyond, history[:end], parts))
        room = end >= settings.baseline + settings.window
        near = detector(View(settings, history[:end], parts)) if room else None
        held = held + 1 if near is not None else 0
        finding = near if held >= settings.patience else far
        if finding is not None:
            return Alarm(name, end - 1, *finding)
    return None


def _learned_parts(history: Sequence[Update]) -> tuple[str, ...]:
    names = {
        key.removeprefix("part_").removesuffix("_mean")
        for update in history
        for key in update
        if key.startswith("part_") and key.endswith("_mean")
    }
    return tuple(sorted(names - {*TextIndicators.part_names, RAW}))


def _refuse_non_finite(history: Sequence[Update]) -> None:
    for number, update in enumerate(history):
        for key, value in update.items():
            if not math.isfinite(value):
                raise DataError(f"update {number}: {key} is {value}; alarms need finite numbers")
