"""What the journal costs a stage that writes 10,000 rows a second, and the memory that it takes.

Run: ``python benchmarks/journal.py [ROWS]`` (50,000 by default). An engine without a model answers
at exactly that rate, in steps of 256 as the generating stages ask; the same rows are asked with and
without a journal on the local disk, in turn, five times.
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from refine_af.calls.answers import dump_answers, request_keys
from refine_af.calls.journalled import STEP
from refine_af.contracts.stage import Journal
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.storage.journal import open_journal

RATE = 10_000.0
ANSWER = (
    "Input: a short list of words\nOutput: the words in another order, with one of them changed"
)


def answers(requests: Sequence[Request], due: float) -> list[Completion]:
    """Return answers at the moment they are due; work in between shortens the wait, as a GPU's."""
    found = [Completion(one.id, f"{ANSWER} {one.seed}", "stop", 40, 25) for one in requests]
    time.sleep(max(0.0, due - time.perf_counter()))
    return found


def seconds(rows: int, journal: Journal | None) -> tuple[float, float]:
    """Return wall and processor seconds of one run.

    With a journal the engine waits while a step is published. The processor's share is what is
    left on a machine that does nothing else: other processes stretch the wall alone.
    """
    started, worked = time.perf_counter(), time.process_time()
    for start in range(0, rows, STEP):
        requests = [Request(f"row-{n}", "", n) for n in range(start, start + STEP)]
        batch = answers(requests, time.perf_counter() + STEP / RATE)
        if journal is not None:
            keys = request_keys(requests, Sampling())
            answered = dict(zip(keys, batch, strict=True))
            journal.publish(f"calls-{start:09d}", dump_answers(answered))
    return time.perf_counter() - started, time.process_time() - worked


def main() -> None:
    """Print the cost as a share of the wall time, and the largest memory of the journal."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    plain, kept = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for turn in range(5):
            identity = {"stage": "benchmark", "params": {"n": turn}, "inputs": {}, "code": "1"}
            plain.append(seconds(rows, None))
            with open_journal(str(Path(folder, "work")), identity) as journal:
                kept.append(seconds(rows, journal))
        for name, column in (("wall", 0), ("processor", 1)):
            without, with_ = (median(one[column] for one in runs) for runs in (plain, kept))
            share = (with_ - without) / (rows / RATE)
            sys.stdout.write(
                f"{rows} rows, {name}: {without:.2f} s without, {with_:.2f} s with:"
                f" {100 * share:.1f} % of the stage\n"
            )
        identity = {"stage": "benchmark", "params": {"n": -1}, "inputs": {}, "code": "1"}
        with open_journal(str(Path(folder, "work")), identity) as journal:
            tracemalloc.start()
            for size in (rows // 10, rows):
                tracemalloc.reset_peak()
                seconds(size, journal)
                peak = tracemalloc.get_traced_memory()[1] / 1024
                sys.stdout.write(f"{size} rows: at most {peak:.0f} KiB\n")


if __name__ == "__main__":
    main()
