"""Episodes per forward pass, halved when memory runs out.

A step's gradient is a sum over its episodes and does not depend on how they are cut into forward
passes, so a step that ran out of memory is repeated with smaller passes.
"""

from collections.abc import Callable
from typing import TypeVar

from refine_af.contracts.errors import MemoryShortageError
from refine_af.engines.memory import RowsAtOnce
from refine_af.ppo.params import PPOParams
from refine_af.processes.group import ALONE, Processes

T = TypeVar("T")

LOWER = "max_new_tokens, choose a shorter style of prompt, or set quantization to nf4"


def microbatch_rows(settings: PPOParams) -> RowsAtOnce:
    """Return the episodes of one forward pass, at first ``microbatch``."""
    return RowsAtOnce(settings.microbatch, task="train_ppo", lower=LOWER)


def repeated(
    passes: RowsAtOnce,
    work: Callable[[], T],
    undo: Callable[[], None],
    processes: Processes = ALONE,
) -> T:
    """Return what ``work`` returns, repeated with fewer rows as often as memory runs out.

    Args:
        passes: Read by ``work``; the same in all processes afterwards.
        work: Of this process, without any exchange with the others.
        undo: Reverts a partial ``work``; every process calls it.
        processes: All repeat when one of them ran out.

    Raises:
        MemoryShortageError: When one row does not fit.
    """
    while True:
        fitted, result = passes.attempt(work)
        if processes.count > 1:
            all_of_them = processes.gathered({processes.rank: (fitted, passes.count)}).values()
            fitted = all(fit for fit, _ in all_of_them)
            passes.count = min(count for _, count in all_of_them)
        if fitted:
            return result  # type: ignore[return-value]  # it fitted, so work has returned
        undo()


def once(passes: RowsAtOnce, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, for work with exchanges inside (sharded weights).

    A process that ran out cannot repeat it: the others wait in the middle of a layer.

    Raises:
        MemoryShortageError: When memory ran out.
    """
    fitted, result = passes.attempt(work)
    if not fitted:
        raise MemoryShortageError(
            "train_ppo: memory ran out in the middle of a step over sharded weights, which cannot"
            f" be repeated; lower microbatch to {passes.count}, or use more processes"
        )
    return result  # type: ignore[return-value]
