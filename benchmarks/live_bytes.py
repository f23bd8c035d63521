"""How much memory real modules need at full size, counted without a GPU and without computing.

Tensors are fake (shape, type and lifetime, no numbers), so that a 13B model runs through a forward
and a backward pass on a laptop. Counted is every storage from its first tensor to the death of its
last one. Not counted: a GPU's context (about 0.5 GiB), memory that its allocator cannot use again,
work space of its kernels.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GIB = 1024.0**3


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of living storages while it is active.

    Attributes:
        now: Bytes alive.
        peak: Most bytes that were alive at once.
    """

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count the storage of a tensor in, until it dies."""
        storage = tensor.untyped_storage()
        number, size = id(storage), storage.nbytes()
        if number in self._known:
            return
        self._known.add(number)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._died, number, size)

    def _died(self, number: int, size: int) -> None:
        self._known.discard(number)
        self.now -= size

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401  torch's own
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run an operation and count what it returns."""
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return found


@contextmanager
def counted(module: nn.Module) -> Iterator[LiveBytes]:
    """Give a module on the meta device fake weights, and count them and all that follows."""
    with FakeTensorMode():
        counter = LiveBytes()
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None:
                    fake = torch.empty(weight.shape, dtype=weight.dtype)
                    part._parameters[name] = nn.Parameter(fake, weight.requires_grad)
                    counter.add(fake)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
        with counter:
            yield counter
