"""What one operation is worth."""

from collections.abc import Mapping

from refine_af.evolve.params import EvolutionParams


def reward(parts: Mapping[str, float], params: EvolutionParams) -> float:
    """Return ``gate x (changed + novelty + frontier) - penalty``, each part by its weight.

    Args:
        parts: ``valid`` (0 or 1, the gate), ``changed`` (0 or 1), ``novelty`` (0 to 1) and
            perhaps ``frontier`` (0 to 1); all but ``valid`` may be absent from an invalid one.
        params: Their weights.
    """
    if not parts["valid"]:
        return -params.weight_invalid
    total = params.weight_changed * parts["changed"] + params.weight_novelty * parts["novelty"]
    return total + params.weight_frontier * parts.get("frontier", 0.0)


def novelty(cosine: float) -> float:
    """Return ``1 - cosine`` in [0, 1]: a cosine below zero counts as nothing in common."""
    return min(1.0, 1.0 - max(0.0, cosine))
