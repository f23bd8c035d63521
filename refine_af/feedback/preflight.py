"""Preflight: what a reward rule pays for, measured on the user's own rows before training.

Indicators of one text often say nearly the same thing. A rule fitted by least squares to such
indicators can give two of them opposite weights: their difference fitted the noise of one data
set, and a policy trained on it is paid for whatever drives them down together. On the published
UniEval scores of 360 dialogue answers naturalness and understandability correlate at 0.9996, so
0.3212 Nat - 0.4421 Und is -0.12 times either of them: the InstructMining rule pays for disfluency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_af.contracts.errors import DataError
from refine_af.feedback.presets import Preset
from refine_af.statistics import pearson

TWINS = 0.9
"""Correlation from which two indicators are treated as one: they share 81 % of their variance."""

PAYS_AGAINST = -0.2
"""Correlation of the total with a fluency indicator from which the rule is said to pay against it;
at 100 rows it is two standard errors from 0."""

FEWEST_ROWS = 30
"""With fewer rows a correlation of 0.36 is within chance (5 %), so nothing is claimed."""

FLUENCY = ("naturalness", "understandability")

Values = Sequence[float] | NDArray[np.float64]
Columns = Mapping[str, NDArray[np.float64]]
Matrix = dict[str, dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the measurement found.

    Attributes:
        rows: How many rows were measured.
        correlation: Pearson correlation of every pair of indicators; None where one is constant.
        with_total: Pearson correlation of the rule's value with each indicator.
        spread: Mean, standard deviation, least and greatest value of each indicator and of
            ``total``, the rule's value.
        warnings: Sentences for people; empty when the rule pays for what it names.
    """

    rows: int
    correlation: Matrix
    with_total: dict[str, float | None]
    spread: dict[str, dict[str, float]]
    warnings: tuple[str, ...]


def preflight(parts: Sequence[Mapping[str, float]], preset: Preset) -> Preflight:
    """Measure the indicators and the preset's value on measured rows.

    Args:
        parts: Indicators of each row, from ``Reward.measure``; the same names in every row.
        preset: The rule. A standardised one is standardised over these rows.

    Raises:
        DataError: For fewer than two rows, or a row that lacks an indicator.
    """
    return preflight_of_columns(_columns(parts, preset), preset)


def preflight_of_columns(columns: Columns, preset: Preset) -> Preflight:
    """Measure as :func:`preflight` does, given the numbers of each indicator over all rows."""
    total = _totals(columns, preset)
    rows = len(total)
    correlation: Matrix = {
        name: {other: pearson(columns[name], columns[other]) for other in columns}
        for name in columns
    }
    with_total = {name: pearson(column, total) for name, column in columns.items()}
    return Preflight(
        rows=rows,
        correlation=correlation,
        with_total=with_total,
        spread={name: _spread(column) for name, column in [*columns.items(), ("total", total)]},
        warnings=tuple(_warnings(rows, preset, correlation, with_total)),
    )


def _columns(
    parts: Sequence[Mapping[str, float]], preset: Preset
) -> dict[str, NDArray[np.float64]]:
    if len(parts) < 2:
        raise DataError(f"preflight found {len(parts)} rows; a correlation needs at least 2")
    names = list(parts[0])
    for number, row in enumerate(parts, start=1):
        lacking = [name for name in [*names, *preset.weights] if name not in row]
        if lacking:
            raise DataError(
                f"preflight row {number} lacks the part {lacking[0]!r}; it has"
                f" {', '.join(row) or 'none'}. Score all rows with the same scorers"
            )
    return {name: np.asarray([row[name] for row in parts], float) for name in names}


def _totals(columns: Columns, preset: Preset) -> NDArray[np.float64]:
    total = np.full(len(next(iter(columns.values()))), preset.constant)
    for name, weight in preset.weights.items():
        column = columns[name]
        if preset.standardised:
            column = (column - column.mean()) / (column.std() or 1.0)
        total = total + weight * column
    return total


def _spread(column: NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean": float(column.mean()),
        "sd": float(column.std()),
        "least": float(column.min()),
        "greatest": float(column.max()),
    }


def _warnings(
    rows: int, preset: Preset, correlation: Matrix, with_total: Mapping[str, float | None]
) -> list[str]:
    if rows < FEWEST_ROWS:
        return [f"only {rows} rows: too few to judge the rule, {FEWEST_ROWS} are needed"]
    return [*_cancelling(preset, correlation), *_paid_against(preset, with_total)]


def _cancelling(preset: Preset, correlation: Matrix) -> list[str]:
    """Warn of pairs that measure the same thing and that the rule weighs with opposite signs."""
    messages = []
    names = list(preset.weights)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            value = correlation[name][other]
            first, second = preset.weights[name], preset.weights[other]
            if value is not None and value > TWINS and first * second < 0:
                messages.append(
                    f"{name} and {other} are nearly the same number on these rows (correlation"
                    f" {value:.4f}), but preset {preset.name} weighs them {first:+g} and"
                    f" {second:+g}: where they rise together the reward changes by only"
                    f" {first + second:+.4g} a unit. Use preset balanced, or keep the guards on"
                    " and watch both parts"
                )
    return messages


def _paid_against(preset: Preset, with_total: Mapping[str, float | None]) -> list[str]:
    """Warn where the total falls as fluency rises."""
    messages = []
    for name in FLUENCY:
        value = with_total.get(name)
        if value is not None and value < PAYS_AGAINST:
            messages.append(
                f"preset {preset.name} pays for disfluent text: on these rows its value"
                f" correlates with {name} at {value:.2f}. A policy trained on it can gain by"
                " writing worse; use preset balanced, or stop the run when this part falls"
            )
    return messages
