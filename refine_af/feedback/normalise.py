"""Running mean and standard deviation whose state survives a kill bit for bit."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from refine_af.contracts.errors import DataError

SMALLEST_DEVIATION = 1e-8
"""Below this a spread is rounding noise; dividing by it would blow that noise up."""

JsonNumbers = dict[str, float | int]


@dataclass(slots=True)
class RunningMoments:
    """Mean and population standard deviation of all values seen, one pass, O(1) memory.

    Source: Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4 (1962), as given by Knuth, TAOCP vol. 2, 4.2.2 (15, 16).

    Attributes:
        count: Values seen.
        mean: Their mean; 0 before the first.
        squares: Sum of squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Take in values in order; the order changes rounding only."""
        for value in values:
            if not math.isfinite(value):
                raise DataError(f"a score is {value}; running statistics take finite numbers only")
            self.count += 1
            distance = value - self.mean
            self.mean += distance / self.count
            self.squares += distance * (value - self.mean)

    @property
    def deviation(self) -> float:
        """Return the population standard deviation; 1 where it is 0 or nothing was seen.

        1 makes a constant score normalise to 0 instead of dividing by nothing.
        """
        if self.count == 0:
            return 1.0
        computed = math.sqrt(max(self.squares, 0.0) / self.count)
        return computed if computed > SMALLEST_DEVIATION else 1.0

    def normalise(self, value: float, clip: float = math.inf) -> float:
        """Return the distance from the mean in standard deviations, cut to [-clip, clip]."""
        return min(max((value - self.mean) / self.deviation, -clip), clip)

    def get_state(self) -> JsonNumbers:
        """Return the state as JSON numbers; floats go through ``json`` without loss."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    def set_state(self, state: JsonNumbers) -> None:
        """Continue from a state of :meth:`get_state`."""
        self.count = int(state["count"])
        self.mean = float(state["mean"])
        self.squares = float(state["squares"])
