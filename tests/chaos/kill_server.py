"""A warm process that forks one child per stage run, and lets the child kill itself.

Libraries load once, so that a hundred kills cost a hundred runs and not a hundred imports. Each
line of the input is one order in JSON; the answer is how the child ended. The kill is real
(SIGKILL to the child, by itself at a publish boundary or by its parent after some seconds).
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from refine_af.storage.local import LocalStore
from refine_af.storage.objects import ObjectStore

BOUNDARIES = ("publish", "publish_bytes", "publish_directory", "delete")


def warm() -> None:
    """Load what the stages load, without starting a thread."""
    import peft  # noqa: F401
    import torch

    import refine_af.engines.models
    import refine_af.ppo.trainer
    import refine_af.runner
    import refine_af.sft.run  # noqa: F401

    torch.set_num_threads(1)


def install(kill_after: int, count_file: str) -> None:
    """Kill this process right after so many publications; count them all."""
    seen = [0]

    def counted(plain: Callable[..., Any]) -> Callable[..., Any]:
        def publish(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            found = plain(*arguments, **named)
            seen[0] += 1
            if seen[0] == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
            with open(count_file, "w") as sink:
                sink.write(str(seen[0]))
            return found

        return publish

    for store in (LocalStore, ObjectStore):
        for name in BOUNDARIES:
            setattr(store, name, counted(getattr(store, name)))


def child(order: dict[str, Any]) -> None:
    from refine_af.runner import run_stage

    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    install(order["kill_after"], order["count"])
    run_stage(order["stage"], **order["arguments"])


def serve(order: dict[str, Any]) -> dict[str, float]:
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            child(order)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(code)
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(process, os.WNOHANG)
        if not ended and time.monotonic() - started > order["kill_at"]:
            os.kill(process, signal.SIGKILL)
            ended, status = os.waitpid(process, 0)
        time.sleep(0.002)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    warm()
    answers = os.fdopen(os.dup(1), "w")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
