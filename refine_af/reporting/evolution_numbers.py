"""The numbers of each arm of an evolution run, with intervals over roots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_af.contracts.randomness import derive, sample
from refine_af.contracts.records import Evolved, OperatorStep
from refine_af.dedup.static_vectors import embed
from refine_af.evaluation.summary import summarise
from refine_af.evolve.ledger import merged
from refine_af.reporting.evolution_inputs import EvolutionArm, EvolutionInputs

Floats = NDArray[np.float64]

MOST_COMPARED = 20_000
"""Instructions of an arm that are compared with each other: time grows with their square, and so
many take ten seconds. More are drawn from."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A number with its 95 % bootstrap interval over roots."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmNumbers:
    """One arm; None where not measured.

    Attributes:
        name: Of the arm.
        tried: Operations.
        accepted: Share of the operations whose result was kept.
        reviewed: Share of the reviewed rewrites that the reviewer accepted.
        kept: Instructions after the filter.
        per_thousand: Kept instructions per 1,000 calls of rewriter, reviewer and chooser.
        per_thousand_in_all: The same with the calls of the policy's training.
        diversity: Mean of 1 - cosine to the nearest other kept instruction, over at most
            :data:`MOST_COMPARED` of them.
        reward: Mean total of its instances.
        rouge_l: On the evaluation tasks, 0 to 1.
        rows: Rows trained on.
    """

    name: str
    tried: int
    accepted: Measured | None
    reviewed: Measured | None
    kept: int
    per_thousand: Measured | None
    per_thousand_in_all: float | None
    diversity: Measured | None
    reward: float | None
    rouge_l: float | None
    rows: int


def arm_numbers(inputs: EvolutionInputs) -> list[ArmNumbers]:
    """Return the numbers of every arm, in order."""
    return [_numbers(name, arm, inputs) for name, arm in inputs.arms.items()]


def total_calls(ledgers: Sequence[Mapping[str, Any]]) -> int:
    """Return all calls of several ledgers."""
    return sum(entry["calls"] for roles in merged(ledgers).values() for entry in roles.values())


def _numbers(name: str, arm: EvolutionArm, inputs: EvolutionInputs) -> ArmNumbers:
    roots = sorted({row.root for row in arm.trace} | {row.root for row in arm.kept})
    index = {root: number for number, root in enumerate(roots)}
    tried, accepted, reviewed, kept, calls = (np.zeros(len(roots)) for _ in range(5))
    moved = [row for row in arm.trace if row.status != "stopped"]
    for row in moved:
        here = index[row.root]
        tried[here] += 1
        accepted[here] += row.status == "kept"
        reviewed[here] += row.changed is not None
        calls[here] += _calls(row)
    for kept_row in arm.kept:
        kept[index[kept_row.root]] += kept_row.step > 0
    training = total_calls([inputs.policy_ledger]) if name == "learned" else 0
    in_all = total_calls([arm.ledger]) + training
    totals = [row.total for row in arm.instances if row.total is not None]
    seed = derive(inputs.seed, "evolution", name)
    written = float(kept.sum())
    return ArmNumbers(
        name=name,
        tried=len(moved),
        accepted=_ratio(accepted, tried, seed),
        reviewed=_ratio(accepted, reviewed, seed),
        kept=len(arm.kept),
        per_thousand=_ratio(1000 * kept, calls, seed),
        per_thousand_in_all=1000 * written / in_all if in_all else None,
        diversity=_diversity(arm, index, seed),
        # of the arm that sets the zero the mean is zero but for rounding
        reward=round(sum(totals) / len(totals), 9) + 0.0 if totals else None,
        rouge_l=summarise(arm.predictions).overall.rouge_l if arm.predictions else None,
        rows=arm.trained_rows,
    )


def _calls(row: OperatorStep) -> int:
    return 1 + 2 * bool(row.labels)


def _ratio(above: Floats, below: Floats, seed: int) -> Measured | None:
    if below.sum() <= 0:
        return None
    source = np.random.default_rng(seed)
    indices = source.integers(0, len(below), (1000, len(below)))
    sums = below[indices].sum(1)
    shares = above[indices].sum(1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    return Measured(float(above.sum() / below.sum()), float(low), float(high))


def _diversity(arm: EvolutionArm, index: Mapping[str, int], seed: int) -> Measured | None:
    if len(arm.kept) < 2:
        return None
    kept: Sequence[Evolved] = arm.kept
    if len(kept) > MOST_COMPARED:
        kept = sample(kept, MOST_COMPARED, seed, "diversity")
    distance = nearest_distance([row.instruction for row in kept])
    above, below = np.zeros(len(index)), np.zeros(len(index))
    for row, value in zip(kept, distance, strict=True):
        above[index[row.root]] += value
        below[index[row.root]] += 1
    return _ratio(above, below, seed)


def nearest_distance(texts: Sequence[str]) -> list[float]:
    """Return 1 - cosine with the nearest other text, 0 to 1; blocks of 2,048 rows."""
    vectors = embed(texts)
    distances: list[float] = []
    for start in range(0, len(vectors), 2048):
        cosines = vectors[start : start + 2048] @ vectors.T
        for line in range(len(cosines)):
            cosines[line, start + line] = -1.0
        distances += [float(distance) for distance in np.clip(1.0 - cosines.max(1), 0.0, 1.0)]
    return distances
