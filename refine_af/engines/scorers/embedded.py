"""The evaluator that ships with the package, for the embedded model and for tests offline."""

from collections.abc import Sequence

from refine_af.feedback.interface import Parts, Triplet

MODEL = "builtin:tiny"


class EmbeddedScorer:
    """Scores with the package's own small evaluator; no download, runs on the processor."""

    name = f"embedded:{MODEL}"
    part_names: tuple[str, ...] = ("naturalness", "coherence", "understandability", "reward")

    def __init__(self, device: str = "cpu") -> None:
        from refine_af.builtin.reward_model import TinyReward

        self._evaluator = TinyReward(device=device)

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return naturalness, coherence, understandability in [0, 1] and an unbounded reward."""
        parts: list[Parts] = self._evaluator.score(list(rows))
        return parts
