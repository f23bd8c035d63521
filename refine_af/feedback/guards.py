"""Guards: bounds on the surface of an output, whose breach no reward outweighs.

A broken guard costs ``guard_penalty`` standard deviations of the score. The paper names none; the
bounds (``guard_*`` of :class:`refine_af.feedback.params.RewardParams`) are ours, in whitespace
words so that they mean the same for every model.
"""

from collections.abc import Mapping

from refine_af.feedback.params import RewardParams


def broken_guards(parts: Mapping[str, float], params: RewardParams) -> tuple[str, ...]:
    """Return the names of the guards that a row with these text indicators breaks."""
    if not params.guards:
        return ()
    tests = {
        "too_short": parts["words"] < params.guard_min_words,
        "too_long": parts["words"] > params.guard_max_words,
        "repetitive": parts["repetition"] > params.guard_repetition,
        "wrong_script": parts["script_share"] < params.guard_script_share,
        "copied": parts.get("copied", 0.0) > params.guard_copied,
    }
    return tuple(name for name, is_broken in tests.items() if is_broken)
