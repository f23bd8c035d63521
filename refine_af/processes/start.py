"""Starts the other processes of a run from within the first: one pod, one GPU each.

``accelerate launch`` and ``torchrun`` start equal processes, of which each would fetch inputs and
hold the journal. A stage is one process that has done so already; it starts helpers instead.
"""

import multiprocessing
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from refine_af.contracts.errors import EXIT_BUG, ParameterError
from refine_af.processes.group import ALONE, Processes, join
from refine_af.processes.together import die_with_parent, hand_on, join_run


@contextmanager
def started(count: int, work: Callable[..., None], *arguments: Any) -> Iterator[Processes]:  # noqa: ANN401
    """Run as rank 0 of ``count`` processes; the others call ``work(processes, *arguments)``.

    The others end with this process. When one of them dies, this process ends too: what it waits
    for can never come. Its journal lets a retry go on from the last checkpoint.

    Args:
        count: Of processes; 1 starts none, 0 takes one for each GPU.
        work: A function of a module, and so are its arguments' types: they are sent as pickles.
        arguments: Of ``work``.

    Raises:
        ParameterError: When there are fewer GPUs than processes, on a machine with GPUs.
    """
    gpus = torch.cuda.device_count()
    count = count or max(gpus, 1)
    if gpus and count > gpus:
        raise ParameterError(f"processes is {count}, and there are {gpus} GPUs; set 0 to take all")
    if count == 1:
        yield ALONE
        return
    port = _free_port()
    places = [_place(rank, count, port) for rank in range(count)]
    before = dict(os.environ)
    os.environ.update(hand_on())
    context = multiprocessing.get_context("spawn")
    helpers = [
        context.Process(target=_help, args=(place, work, arguments), daemon=True)
        for place in places[1:]
    ]
    for helper in helpers:
        helper.start()
    ended = threading.Event()
    threading.Thread(target=_watch, args=(helpers, ended), daemon=True).start()
    os.environ.update(places[0])
    # What ran in this process before may have told accelerate that it is alone.
    _leave()
    try:
        yield join()
        ended.set()
        for helper in helpers:
            helper.join()
    finally:
        ended.set()
        _leave()
        os.environ.clear()
        os.environ.update(before)
        for helper in helpers:
            helper.kill()


def _place(rank: int, count: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _help(place: dict[str, str], work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(place)
    die_with_parent()
    join_run(grace_seconds=0.0)
    work(join(), *arguments)
    _leave()


def _leave() -> None:
    from accelerate import PartialState

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    PartialState._reset_state()


def _watch(helpers: list[BaseProcess], ended: threading.Event) -> None:
    waiting = list(helpers)
    while waiting:
        wait([helper.sentinel for helper in waiting])
        dead = [helper for helper in waiting if not helper.is_alive()]
        if not ended.is_set() and any(helper.exitcode for helper in dead):
            os.write(2, b"refine-af: a helper process died; see its lines above\n")
            os._exit(EXIT_BUG)
        waiting = [helper for helper in waiting if helper not in dead]
