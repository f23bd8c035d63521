"""Which light vectors find paraphrases: recall where 1 % of unlike neighbours pass.

Run with the shared data's folder::

    python benchmarks/semantic_vectors.py --data /path/to/shared/data

Pairs are sentences and their rewrites (ParaNMT, ASSET). For every sentence the nearest rewrite of
another sentence is the unlike neighbour; the bound is what 1 % of these exceed.
"""

import argparse
import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import LCSseq

from refine_af.dedup.rouge_l import rouge_tokens
from refine_af.dedup.static_vectors import Rarity, embed

TASKS = ("task177_para-nmt_paraphrasing", "task111_asset_sentence_simplification")
PAIRS = 1000
Scores = NDArray[np.float64]


def pairs(data: Path, task: str) -> list[tuple[str, str]]:
    """Return sentences and rewrites of a task, in the order of the files."""
    found: dict[str, str] = {}
    for name in ("superni_train_a.jsonl.gz", "superni_train_b.jsonl.gz"):
        with gzip.open(data / "pretrain" / name) as source:
            for row in map(json.loads, source):
                if row["task"] == task and 3 <= len(row["input"].split()) <= 60:
                    output = row["output"]
                    found.setdefault(row["input"], output if isinstance(output, str) else output[0])
    return list(islice(((a, b) for a, b in found.items() if a != b), PAIRS))


def rouge(left: list[str], right: list[str]) -> Scores:
    """Return the ROUGE-L F1 of every left text with every right one."""
    rows, columns = [rouge_tokens(text) for text in left], [rouge_tokens(text) for text in right]
    return np.array(
        [[2 * LCSseq.similarity(a, b) / max(len(a) + len(b), 1) for b in columns] for a in rows]
    )


def main() -> None:
    """Print one line per task and kind of score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data's folder")
    data = parser.parse_args().data
    for task in TASKS:
        left, right = (list(side) for side in zip(*pairs(data, task), strict=True))
        rarity = Rarity()
        rarity.count(left + right)
        kinds = {
            "ROUGE-L": rouge(left, right),
            "static, every word alike": (embed(left) @ embed(right).T).astype(float),
            "static, weighed by rarity": (embed(left, rarity) @ embed(right, rarity).T).astype(
                float
            ),
        }
        for kind, scores in kinds.items():
            same = np.diag(scores).copy()
            np.fill_diagonal(scores, -1.0)
            unlike = scores.max(axis=1)
            bound = float(np.quantile(unlike, 0.99))
            recall = float(np.mean(same > bound))
            print(f"{task} | {kind} | bound {bound:.2f} | recall {recall:.3f} of {len(same)}")


if __name__ == "__main__":
    main()
