"""Guards: bounds on the surface of an output that a reward must not be able to buy off."""

from collections.abc import Mapping
from dataclasses import dataclass

from refine_af.contracts.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Guards:
    """The bounds; a broken one costs ``penalty`` deviations of the score.

    The paper names none; these are ours, in whitespace words so that they mean the same for every
    model.

    Attributes:
        min_words: Fewest words of an output.
        max_words: Most words of an output.
        max_repetition: Largest share of repeated 4-grams.
        min_script_share: Smallest share of letters of an expected script; 0 switches it off.
        penalty: Subtracted once per broken guard, in running standard deviations of the raw
            score, so that it means the same for a rule with spread 0.06 and a logit with 5.
    """

    min_words: int = 1
    max_words: int = 512
    max_repetition: float = 0.5
    min_script_share: float = 0.5
    penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words:
            raise ParameterError(
                f"guard words are {self.min_words} to {self.max_words};"
                " the least must be 0 or more and at most the most"
            )
        for name in ("max_repetition", "min_script_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")
        if not 0 <= self.penalty < float("inf"):
            raise ParameterError(f"penalty is {self.penalty}; it must be 0 or more and finite")

    def broken(self, parts: Mapping[str, float]) -> tuple[str, ...]:
        """Return the names of the guards that a row with these text indicators breaks."""
        tests = {
            "too_short": parts["words"] < self.min_words,
            "too_long": parts["words"] > self.max_words,
            "repetitive": parts["repetition"] > self.max_repetition,
            "wrong_script": parts["script_share"] < self.min_script_share,
        }
        return tuple(name for name, is_broken in tests.items() if is_broken)
