"""When memory runs out, fewer rows are processed at once; at one row it is an error."""

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from refine_af.contracts.errors import MemoryShortageError

T = TypeVar("T")
Item = TypeVar("Item")

MEMORY_PARAMETERS = (
    "microbatch",
    "rollout_batch",
    "rollout_memory",
    "engine_batch",
    "batch_size",
    "max_length",
    "max_new_tokens",
    "max_tokens",
)
"""Parameters of stages that memory depends on, in the order in which to lower them."""

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Messages of torch's out-of-memory errors that have no class of their own."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether a GPU's or the machine's memory was too small."""
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True  # torch's class by its name, so that torch need not be loaded
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


class RowsAtOnce:
    """How many rows go through a model in one forward pass; halved when memory runs out.

    Attributes:
        count: Rows now.
        halvings: How often memory has run out.
    """

    def __init__(self, most: int, *, task: str, lower: str) -> None:
        """Begin with ``most`` rows.

        Args:
            most: Rows of the first pass.
            task: What is being done, for messages, such as ``train_ppo``.
            lower: The parameter to lower when one row does not fit, such as ``max_length``.
        """
        self.count = most
        self.halvings = 0
        self._task, self._lower = task, lower

    def attempt(self, work: Callable[[], T]) -> tuple[bool, T | None]:
        """Do ``work`` and return whether memory sufficed, with what it returned.

        Raises:
            MemoryShortageError: When one row does not fit.
        """
        try:
            return True, work()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = " ".join(str(error).split())[:200]
        # Only here is the failed pass gone: the exception held its frames, and they its tensors.
        self.halve(said)
        return False, None

    def halve(self, said: str) -> None:
        """Go on with half as many rows.

        Raises:
            MemoryShortageError: When there is one row only.
        """
        if self.count <= 1:
            raise MemoryShortageError(
                f"{self._task}: memory is too small for one row ({said}); lower {self._lower}, or"
                " use a GPU with more memory"
            )
        self.count //= 2
        self.halvings += 1
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(
            f"{self._task}: memory ran out; continuing with {self.count} rows at once ({said})",
            file=sys.stderr,
            flush=True,
        )

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], object]) -> None:
        """Call ``work`` with runs of items, in order; one that does not fit is cut in two."""
        start = 0
        while start < len(items):
            part = items[start : start + self.count]
            fitted, _ = self.attempt(lambda part=part: work(part))  # type: ignore[misc]
            start += len(part) if fitted else 0


def shortage(error: BaseException, task: str, params: Mapping[str, object]) -> MemoryShortageError:
    """Return the error for people of a task that ran out of memory where nothing could be halved.

    Args:
        error: As caught; :func:`out_of_memory` of it is true.
        task: The stage.
        params: Of the stage; those that memory depends on are named.
    """
    said = " ".join(str(error).split())[:200]
    known = [f"{name} (now {params[name]})" for name in MEMORY_PARAMETERS if name in params]
    lower = ", ".join(known) or "the size of its input"
    return MemoryShortageError(
        f"{task}: memory ran out ({said}); lower {lower}, or use a GPU with more memory"
    )
