"""Time and recall of other projects' MinHash filters against the exact ROUGE-L rule.

    python benchmarks/minhash_peers.py --data DIR [--rows 20000] \
        [--distilabel PYTHON] [--data-juicer PYTHON]

Each peer is installed in an environment of its own (``pip install 'distilabel[minhash]'``,
``pip install py-data-juicer``) and PYTHON is that environment's interpreter; a peer that is not
named is not measured. All filter the rows of DIR's ``dedup/instructions_20k.jsonl.gz``, one
process and one thread each, imports outside the clock, tokenising inside. Recall is the share of
the rows that the exact rule drops which the peer drops too, precision the share of the rows that
the peer drops which the exact rule drops too. MinHash looks for another likeness (Jaccard of word
runs); it is measured because teams use it for this purpose.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

THRESHOLDS = (0.5, 0.7)
BATCH = 1000
Answer = tuple[float, float, list[bool]]


def clocked(work: Callable[[], list[bool]]) -> Answer:
    """Return wall seconds, CPU seconds and which rows are kept."""
    wall, cpu = time.perf_counter(), time.process_time()
    kept = work()
    return time.perf_counter() - wall, time.process_time() - cpu, kept


def ours(texts: Sequence[str], bound: float = 0.7) -> Answer:
    """Filter by the exact rule."""
    from refine_af.dedup.index import RougeLIndex

    rows = [(str(place), text) for place, text in enumerate(texts)]
    return clocked(lambda: [near is None for near in RougeLIndex(bound).offer_all(rows)])


def distilabel(texts: Sequence[str], threshold: float) -> Answer:
    """Filter with distilabel's MinHashDedup over runs of five characters."""
    from distilabel.steps import MinHashDedup

    step = MinHashDedup(tokenizer="ngrams", n=5, threshold=threshold)
    step.load()

    def work() -> list[bool]:
        kept = []
        for start in range(0, len(texts), BATCH):
            rows = [{"text": text} for text in texts[start : start + BATCH]]
            kept += [
                row["keep_row_after_minhash_filtering"]
                for done in step.process(rows)
                for row in done
            ]
        return kept

    return clocked(work)


def data_juicer(texts: Sequence[str], threshold: float) -> Answer:
    """Filter with data-juicer's MinHash over runs of three words."""
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import (
        DocumentMinhashDeduplicator,
    )

    operator = DocumentMinhashDeduplicator(
        tokenization="space", window_size=3, jaccard_threshold=threshold
    )
    rows = NestedDataset.from_list(
        [{"text": text, "place": place} for place, text in enumerate(texts)]
    )

    def work() -> list[bool]:
        hashed = rows.map(operator.compute_hash, load_from_cache_file=False)
        left = {row["place"] for row in operator.process(hashed)[0]}
        return [place in left for place in range(len(texts))]

    return clocked(work)


PEERS = {"distilabel": distilabel, "data_juicer": data_juicer}


def in_its_own(python: str, peer: str, path: Path, rows: int, threshold: float) -> Answer:
    """Return what ``peer`` does in its environment."""
    command = [python, __file__, "--data", str(path), "--rows", str(rows)]
    found = subprocess.run(
        [*command, "--child", peer, str(threshold)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        text=True,
    )
    wall, cpu, kept = json.loads(found.stdout.split("\n")[-2])
    return wall, cpu, kept


def texts_of(data: Path, rows: int) -> list[str]:
    """Return the first texts of the shared file."""
    path = data / "dedup" / "instructions_20k.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line)["text"] for line in lines][:rows]


def show(what: str, answer: Answer, exact: Sequence[bool]) -> None:
    """Print one row of the table."""
    wall, cpu, kept = answer
    both = sum(not one and not two for one, two in zip(kept, exact, strict=True))
    dropped, wanted = kept.count(False), exact.count(False)
    print(
        f"{what} | {wall:.2f} s wall, {cpu:.2f} s CPU | dropped {dropped:,} | recall"
        f" {both / max(wanted, 1):.3f}, precision {both / max(dropped, 1):.3f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data's folder")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--distilabel", help="interpreter that has distilabel[minhash]")
    parser.add_argument("--data-juicer", help="interpreter that has py-data-juicer")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = texts_of(options.data, options.rows)
    if options.child:
        peer, threshold = options.child
        answer = PEERS[peer](texts, float(threshold))
        sys.stdout.write(f"\n{json.dumps(answer)}\n")
        return
    exact = ours(texts)
    show("exact ROUGE-L over 0.7, this project", exact, exact[2])
    for peer in PEERS:
        python = getattr(options, peer)
        for threshold in THRESHOLDS if python else ():
            answer = in_its_own(python, peer, options.data, options.rows, threshold)
            show(f"{peer} MinHash, threshold {threshold}", answer, exact[2])
    show("the same again", ours(texts), exact[2])


if __name__ == "__main__":
    main()
