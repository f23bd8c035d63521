"""The one-step table, seeds by operators: can learning pay at all?

Every seed gets every operator once. From that: what the best fixed operator earns, and what one
choice per group of seeds would earn on top. Choices are made on one half of the seeds and measured
on the other (and the other way round): the best of many means, taken where it was found, always
looks better than it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_af.contracts.randomness import derive
from refine_af.contracts.records import OperatorStep

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference in mean reward per step with its 95 % bootstrap interval over seeds."""

    value: float
    low: float
    high: float


def one_step_table(
    steps: Sequence[OperatorStep], names: Sequence[str], seed: int
) -> dict[str, Any]:
    """Return the table and what it says, ready for JSON.

    Args:
        steps: Rows of phase ``table``: one per seed and operator.
        names: Of the operators.
        seed: Of the halves and the resampling.
    """
    roots = sorted({row.root for row in steps})
    row_of = {root: number for number, root in enumerate(roots)}
    rewards = np.full((len(roots), len(names)), np.nan)
    group = np.zeros(len(roots), dtype=np.int64)
    for row in steps:
        rewards[row_of[row.root], row.action] = row.reward
        group[row_of[row.root]] = row.cluster
    whole = ~np.isnan(rewards).any(1)
    rewards, group = rewards[whole], group[whole]
    half = np.array([derive(seed, "table-half", root) % 2 for root in np.array(roots)[whole]])
    fixed, grouped = _gains(rewards, group, half.astype(bool), seed)
    return {
        "seeds": len(rewards),
        "operators": list(names),
        "mean": [_rounded(mean) for mean in rewards.mean(0)] if len(rewards) else [],
        "clusters": [
            {
                "cluster": int(number),
                "seeds": int((group == number).sum()),
                "mean": [_rounded(mean) for mean in rewards[group == number].mean(0)],
            }
            for number in np.unique(group)
        ],
        "best_fixed_over_uniform": _shown(fixed),
        "best_by_cluster_over_best_fixed": _shown(grouped),
        "sentence": sentence(fixed, grouped, len(rewards)),
    }


def sentence(fixed: Gain | None, grouped: Gain | None, seeds: int) -> str:
    """Return in plain words whether learning can pay."""
    if fixed is None or grouped is None:
        return f"{seeds} seeds are too few to say whether learning can pay; the table needs 8."
    by_group = (
        f"choosing by kind of seed earns {grouped.value:+.3f} per step over the best single"
        f" operator (95 % interval {grouped.low:+.3f} to {grouped.high:+.3f})"
    )
    by_operator = (
        f"the best single operator earns {fixed.value:+.3f} over a uniform choice"
        f" ({fixed.low:+.3f} to {fixed.high:+.3f})"
    )
    if grouped.low > 0:
        return f"Learning can pay by reading the text: {by_group}; {by_operator}."
    if fixed.low > 0:
        return (
            "The best operator hardly varies with the kind of seed, so a fixed mix would do nearly"
            f" as well as a learned policy: {by_group}; {by_operator}."
        )
    return f"Nothing to learn shows in one step: {by_group}; {by_operator}."


def _gains(
    rewards: NDArray[np.float64], group: NDArray[np.int64], half: NDArray[np.bool_], seed: int
) -> tuple[Gain | None, Gain | None]:
    if half.sum() < 4 or (~half).sum() < 4:
        return None, None
    fixed, grouped = np.zeros(len(rewards)), np.zeros(len(rewards))
    for chosen, measured in ((half, ~half), (~half, half)):
        means = rewards[chosen].mean(0)
        single = int(means.argmax())
        fixed[measured] = rewards[measured, single] - rewards[measured].mean(1)
        for number in np.unique(group):
            inside = chosen & (group == number)
            best = int(rewards[inside].mean(0).argmax()) if inside.sum() >= 2 else single
            here = measured & (group == number)
            grouped[here] = rewards[here, best] - rewards[here, single]
    return _interval(fixed, seed), _interval(grouped, seed)


def _interval(values: NDArray[np.float64], seed: int) -> Gain:
    source = np.random.default_rng(derive(seed, "table-bootstrap"))
    samples = source.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[samples].mean(1), [0.025, 0.975])
    return Gain(float(values.mean()), float(low), float(high))


def _rounded(value: float) -> float:
    return round(float(value), 6)


def _shown(gain: Gain | None) -> dict[str, float] | None:
    if gain is None:
        return None
    return {"value": _rounded(gain.value), "low": _rounded(gain.low), "high": _rounded(gain.high)}
