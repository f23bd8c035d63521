"""The row order of training: fixed before training, and a function of the seed alone."""

import math
from collections.abc import Sequence

from refine_af.contracts.randomness import shuffled


def training_order(
    count: int, *, epochs: float, max_steps: int, batch_size: int, seed: int
) -> list[int]:
    """Return the index of each row to read, in order; step s reads ``batch_size`` of them.

    Every epoch has its own order, and no epoch waits for a batch to be full: a batch may span
    two epochs. The last batch may be smaller when ``epochs`` decides.

    Args:
        count: Rows, at least 1.
        epochs: Passes; ``round(epochs * count)`` rows are read, at least one.
        max_steps: When not 0, exactly this many full batches are read instead.
        batch_size: Rows of one step.
        seed: Of the run.
    """
    wanted = max_steps * batch_size if max_steps else max(1, round(epochs * count))
    order: list[int] = []
    for epoch in range(math.ceil(wanted / count)):
        order += shuffled(range(count), seed, "sft-order", epoch)
    return order[:wanted]


def tokens_after_steps(order: Sequence[int], lengths: Sequence[int], batch_size: int) -> list[int]:
    """Return how many tokens have been read after each step, padding not counted."""
    total = 0
    sums = []
    for start in range(0, len(order), batch_size):
        total += sum(lengths[index] for index in order[start : start + batch_size])
        sums.append(total)
    return sums
