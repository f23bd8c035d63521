"""Time and memory of a report over many rows of made data.

Run: ``python benchmarks/report.py [ROWS]`` (50,000 by default: instructions, and as many instances
in each of three arms, and four arms of 119 tasks x 100 instances).
"""

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "reporting"))

from made_run import made_run

from refine_af.reporting.report import render


def memory_mib() -> float:
    """Return the largest resident memory so far, in MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print wall and processor seconds, largest memory and the page's size."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    inputs = made_run(rows=rows, tasks=119, instances=100)
    before = memory_mib()
    wall, processor = time.perf_counter(), time.process_time()
    report = render(inputs)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    sys.stdout.write(
        f"{rows} rows: {wall:.1f} s ({processor:.1f} s of processor), largest memory"
        f" {memory_mib():.0f} MiB of which {before:.0f} MiB held the rows,"
        f" page {len(report.html.encode()) / 1e6:.2f} MB\n"
    )


if __name__ == "__main__":
    main()
