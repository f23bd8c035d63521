"""The processes of one run: each acts, scores and reads a share; all train the same policy.

Every process holds the whole state of the run (episodes, feedback, experience, statistics), drawn
from the same seeds, so that only actions, parts, outputs and gradients are exchanged; with one
process (``count == 1``), nothing. Processes are joined through accelerate
(``accelerate launch``, ``torchrun``, or :mod:`refine_af.processes.start`): gloo between CPUs, NCCL
between GPUs.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: Rank of this process, from 0; the process of rank 0 keeps journal and outputs.
        count: Number of processes, on all nodes.
        node: Number of this process's node, from 0.
        local_rank: Rank of this process among those of its node.
    """

    rank: int = 0
    count: int = 1
    node: int = 0
    local_rank: int = 0

    @property
    def main(self) -> bool:
        """Return whether this is rank 0, which keeps journal and outputs."""
        return self.rank == 0

    def share(self, rows: Sequence[T]) -> list[T]:
        """Return every ``count``-th row from ``rank`` on; shares differ by one row at most."""
        return list(rows[self.rank :: self.count])

    def gathered(self, mine: Mapping[int, T]) -> dict[int, T]:
        """Return the numbered rows of all processes together."""
        if self.count == 1:
            return dict(mine)
        from accelerate.utils import gather_object

        return {
            number: row for share in gather_object([dict(mine)]) for number, row in share.items()
        }

    def once_per_node(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in the first process of this node; the others wait."""
        if self.count == 1:
            return work()
        return self.gathered({self.node: work()} if self.local_rank == 0 else {})[self.node]

    def from_main(self, value: T) -> T:
        """Return the value of rank 0; the values of other ranks are ignored."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        values: list[T] = broadcast_object_list([value])
        return values[0]

    def total(self, sums: Mapping[str, float], largest: Sequence[str] = ()) -> dict[str, float]:
        """Return the sums over all processes, and the maximum of those named in ``largest``."""
        if self.count == 1:
            return dict(sums)
        shares = self.gathered({self.rank: dict(sums)})
        rows = [shares[rank] for rank in sorted(shares)]
        return {
            name: max(row[name] for row in rows)
            if name in largest
            else sum(row[name] for row in rows)
            for name in sums
        }

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes, in place.

        Sharded gradients are already averaged over processes, which is not the mean over tokens,
        because shares differ; they are multiplied by ``count``.
        """
        if self.count == 1:
            return
        whole_gradients: list[Tensor] = []
        for parameter in parameters:
            if isinstance(parameter.grad, DTensor):
                parameter.grad.mul_(self.count)
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            whole_gradients.append(parameter.grad)
        for bucket in _buckets(whole_gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            torch.distributed.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, summed in zip(bucket, parts, strict=True):
                gradient.copy_(summed.view_as(gradient))


_BUCKET = 1 << 23
"""Elements of one exchange: an adapter has hundreds of small tensors, each exchange has to wait."""


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Return runs of tensors of one dtype with at most :data:`_BUCKET` elements, or one tensor."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > _BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket


ALONE = Processes()

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: rank 0 downloads the model alone, which takes longer
than NCCL's ten minutes. A process that died is noticed at once
(:mod:`refine_af.processes.start`)."""


def join() -> Processes:
    """Join the processes that the environment names (``WORLD_SIZE``), or run as one process."""
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    node = int(os.environ.get("GROUP_RANK", "0"))  # set by torchrun
    return Processes(state.process_index, state.num_processes, node, state.local_process_index)


def whole(tensor: Tensor) -> Tensor:
    """Return a sharded tensor whole (every process must call it), any other tensor unchanged."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_out_as(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole value on the device of a parameter, sharded as the parameter is."""
    placed = value.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return placed
    return distribute_tensor(placed, parameter.device_mesh, parameter.placements)
