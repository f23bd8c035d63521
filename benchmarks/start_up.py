"""Seconds until the first commands of a newcomer have answered: help, a plan, a preview.

Run on a machine with nothing else to do::

    python benchmarks/start_up.py
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "refine-af --help": (("--help",), 0.5),
    "refine-af run --preset quickstart --dry-run": (
        ("run", "--preset", "quickstart", "--dry-run"),
        2.0,
    ),
    "refine-af preview --preset quickstart": (("preview", "--preset", "quickstart"), 60.0),
}
"""The words of each command, and the seconds that it may take."""


def seconds(words: tuple[str, ...]) -> float:
    """Return the wall time of one command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "refine_af", *words], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print median and slowest of each command beside its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("| command | median, s | slowest, s | wanted, s |\n| --- | --- | --- | --- |")
    for name, (words, bound) in COMMANDS.items():
        taken = [seconds(words) for _ in range(repeats)]
        print(f"| `{name}` | {statistics.median(taken):.2f} | {max(taken):.2f} | {bound:g} |")


if __name__ == "__main__":
    main()
