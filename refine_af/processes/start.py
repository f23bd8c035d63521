"""Starts ranks 1 and above of a run from rank 0: one pod, one GPU each.

``accelerate launch`` and ``torchrun`` start equal processes, each of which would fetch inputs and
hold the journal. A stage is one process that already did; it starts the others itself.
"""

import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from refine_af.contracts.errors import EXIT_BUG, ParameterError
from refine_af.processes.group import ALONE, Processes, join
from refine_af.processes.job import journal_of_job
from refine_af.processes.together import die_with_parent, hand_on, join_run


@contextmanager
def started(count: int, work: Callable[..., None], *arguments: Any) -> Iterator[Processes]:  # noqa: ANN401
    """Run as rank 0 of ``count`` processes; the others call ``work(processes, *arguments)``.

    The others end with this process. When one of them dies, this process ends too, because it
    would wait forever; its journal lets a retry continue from the last checkpoint.

    In a job of several nodes all processes are there already: rank 0 is let in, and the others work
    and then end (``SystemExit``), because they have no outputs.

    Args:
        count: Number of processes; 1 starts no other, 0 starts one per GPU.
        work: A function of a module, and so are its arguments' types: they are sent as pickles.
        arguments: Of ``work``.

    Raises:
        ParameterError: When there are fewer GPUs than processes, on a machine with GPUs.
    """
    if journal_of_job():
        with _joined() as processes:
            if processes.main:
                yield processes
                return
            work(processes, *arguments)
        sys.exit(0)
    gpus = torch.cuda.device_count()
    count = count or max(gpus, 1)
    if gpus and count > gpus:
        raise ParameterError(f"processes is {count}, and there are {gpus} GPUs; set 0 to take all")
    if count == 1:
        yield ALONE
        return
    port = _free_port()
    before = dict(os.environ)
    os.environ.update(hand_on())
    others = _start_others(
        [_environment(rank, count, port) for rank in range(1, count)], work, arguments
    )
    ended = threading.Event()
    threading.Thread(target=_watch, args=(others, ended), daemon=True).start()
    os.environ.update(_environment(0, count, port))
    # Earlier code in this process may have initialised accelerate with one process.
    _leave()
    try:
        yield join()
        ended.set()
        for process in others:
            process.join()
    finally:
        ended.set()
        _leave()
        os.environ.clear()
        os.environ.update(before)
        for process in others:
            process.kill()


@contextmanager
def _joined() -> Iterator[Processes]:
    """Be a rank of a job that ``torchrun`` has started, and end with it."""
    die_with_parent()
    try:
        yield join()
    finally:
        _leave()


def _start_others(
    environments: list[dict[str, str]], work: Callable[..., None], arguments: tuple[Any, ...]
) -> list[BaseProcess]:
    context = multiprocessing.get_context("spawn")
    others: list[BaseProcess] = [
        context.Process(target=_run_rank, args=(environment, work, arguments), daemon=True)
        for environment in environments
    ]
    for process in others:
        process.start()
    return others


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _run_rank(
    environment: dict[str, str], work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(environment)
    die_with_parent()
    join_run(grace_seconds=0.0)
    work(join(), *arguments)
    _leave()


def _leave() -> None:
    from accelerate import PartialState

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    PartialState._reset_state()


def _watch(others: list[BaseProcess], ended: threading.Event) -> None:
    waiting = list(others)
    while waiting:
        wait([process.sentinel for process in waiting])
        dead = [process for process in waiting if not process.is_alive()]
        if not ended.is_set() and any(process.exitcode for process in dead):
            os.write(2, b"refine-af: another rank of this run died; see its lines above\n")
            os._exit(EXIT_BUG)
        waiting = [process for process in waiting if process not in dead]
