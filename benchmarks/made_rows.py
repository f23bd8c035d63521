"""Any number of rows with the lengths and word frequencies of real instructions.

Each row is a real instruction with 30 to 80 % of its words replaced by words drawn by their
frequency in all of them. Print them as JSON Lines, which the filter and the row stages read::

    python benchmarks/made_rows.py --data /path/to/shared/data --rows 1000000 > rows.jsonl
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SHARE = (0.3, 0.8)
_BLOCK = 10_000


def made_rows(file: Path, count: int, seed: int = 7) -> Iterator[str]:
    """Yield ``count`` texts made from the ``text`` column of a gzipped JSON Lines file."""
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as source:
        rows = [json.loads(row)["text"].split() for row in source]
    lengths = np.array([len(row) for row in rows])
    starts = np.cumsum(lengths) - lengths
    words = np.array([word for row in rows for word in row], dtype=object)
    draw = np.random.default_rng(seed)
    for done in range(0, count, _BLOCK):
        chosen = draw.integers(len(rows), size=min(_BLOCK, count - done))
        size = lengths[chosen]
        first = np.cumsum(size) - size
        place = np.arange(size.sum()) - np.repeat(first, size)
        text = words[place + np.repeat(starts[chosen], size)]
        replaced = _replaced(draw, size, place)
        text[replaced] = words[draw.integers(len(words), size=int(replaced.sum()))]
        for start, end in zip(first.tolist(), (first + size).tolist(), strict=True):
            yield " ".join(text[start:end])


def _replaced(draw: np.random.Generator, size: Ints, place: Ints) -> npt.NDArray[np.bool_]:
    """Return which words go: of each row a random part of them, a random share of :data:`SHARE`."""
    row = np.repeat(np.arange(len(size)), size)
    many = np.rint(draw.uniform(*SHARE, len(size)) * size).astype(np.int64)
    shuffled = np.lexsort((draw.random(len(place)), row))
    replaced = np.empty(len(place), np.bool_)
    replaced[shuffled] = place < np.repeat(many, size)
    return replaced


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data's folder")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    file = options.data / "dedup" / "instructions_20k.jsonl.gz"
    for number, text in enumerate(made_rows(file, options.rows, options.seed)):
        row = {"id": f"row_{number:07}", "instruction": text}
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
