"""Checks that two arms are comparable: the same questions and the same settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refine_af.contracts.errors import DataError
from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Prediction

LISTED_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's answers and how they came about.

    Attributes:
        name: Such as ``rl`` or ``baseline``.
        predictions: Scored rows.
        settings: Everything that must be equal in a fair comparison: evaluation settings, counts
            of training rows, seeds, SFT settings. What *makes* the arm (a reward adapter,
            best-of-n) stays out.
    """

    name: str
    predictions: Sequence[Prediction]
    settings: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A comparison that would not be fair: there is no win share, only what differs."""

    first: str
    second: str
    differences: tuple[str, ...]

    def message(self) -> str:
        """Return one sentence with every difference, for an error or a log."""
        listed = "; ".join(self.differences)
        return (
            f"{self.first} and {self.second} differ in more than the arm, so no win share is"
            f" given: {listed}. Evaluate both with the same tasks, counts and settings"
        )


def differences(first: Arm, second: Arm, *, may_differ: Sequence[str] = ()) -> tuple[str, ...]:
    """Return every difference that makes two arms incomparable, at most 20 and a count."""
    ours, theirs = by_instance(first), by_instance(second)
    lines = [*_setting_differences(first, second, may_differ)]
    for here, mine, other in (
        (first.name, ours, theirs),
        (second.name, theirs, ours),
    ):
        tasks = sorted({task for task, _ in mine} - {task for task, _ in other})
        lines += [f"task {task!r} is in {here} only" for task in tasks]
        lines += [
            f"instance {key!r} of task {task!r} is in {here} only"
            for task, key in mine
            if (task, key) not in other and task not in tasks
        ]
    for task, key in ours:
        row, twin = ours[task, key], theirs.get((task, key))
        if twin and (row.references, row.category) != (twin.references, twin.category):
            lines.append(f"instance {key!r} of task {task!r} has other references or category")
    if len(lines) > LISTED_DIFFERENCES:
        left = len(lines) - LISTED_DIFFERENCES
        lines = [*lines[:LISTED_DIFFERENCES], f"and {left} more differences"]
    return tuple(lines)


def by_instance(arm: Arm) -> dict[tuple[str, str], Prediction]:
    """Return an arm's rows by (task, instance id).

    Raises:
        DataError: For an arm without rows, or with two for one instance.
    """
    if not arm.predictions:
        raise DataError(f"arm {arm.name!r} has no predictions; evaluate it first")
    rows: dict[tuple[str, str], Prediction] = {}
    for row in arm.predictions:
        if (row.task, row.instance) in rows:
            raise DataError(
                f"arm {arm.name!r}: instance {row.instance!r} of task {row.task!r} has two"
                " predictions; keep one"
            )
        rows[row.task, row.instance] = row
    return rows


def _setting_differences(first: Arm, second: Arm, may_differ: Sequence[str]) -> list[str]:
    lines = []
    for name in sorted({*first.settings, *second.settings} - set(may_differ)):
        ours, theirs = first.settings.get(name), second.settings.get(name)
        if ours != theirs:
            lines.append(
                f"setting {name!r} is {_shown(ours)} in {first.name} and {_shown(theirs)} in"
                f" {second.name}"
            )
    return lines


def _shown(value: Scalar | None) -> str:
    return "absent" if value is None else repr(value)
