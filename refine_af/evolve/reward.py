"""What one operation is worth."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RewardWeights:
    """Weights of the parts.

    Attributes:
        changed: Paid when the reviewer says that the rewrite differs.
        novelty: Times ``1 - cosine`` with the nearest sibling, ancestor or row of the bank.
        invalid: Taken from a rewrite that breaks a rule.
        frontier: Times ``4 s (1 - s)``, s the share of sampled answers that agree with the most
            common one (R-Zero, arXiv 2508.05004): tasks that the answering model is unsure of.
    """

    changed: float = 0.5
    novelty: float = 0.5
    invalid: float = 0.5
    frontier: float = 0.0


def reward(parts: Mapping[str, float], weights: RewardWeights) -> float:
    """Return ``gate x (changed + novelty + frontier) - penalty``, each part by its weight.

    Args:
        parts: ``valid`` (0 or 1, the gate), ``changed`` (0 or 1), ``novelty`` (0 to 1) and
            perhaps ``frontier`` (0 to 1); all but ``valid`` may be absent from an invalid one.
        weights: Of the parts.
    """
    if not parts["valid"]:
        return -weights.invalid
    found = weights.changed * parts["changed"] + weights.novelty * parts["novelty"]
    return found + weights.frontier * parts.get("frontier", 0.0)


def novelty(cosine: float) -> float:
    """Return ``1 - cosine`` in [0, 1]: a cosine below zero counts as nothing in common."""
    return min(1.0, 1.0 - max(0.0, cosine))
