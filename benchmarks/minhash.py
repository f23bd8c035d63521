"""What MinHash filters find of the exact ROUGE-L rule, and how long they take.

Each tool runs in an environment of its own, through its own step or operator, at its threshold
0.7 and otherwise as it comes::

    python -m venv distilabel
    distilabel/bin/pip install 'distilabel[minhash]' 'datasketch<1.7' requests
    python -m venv juicer && juicer/bin/pip install py-data-juicer aiohttp
    python -m venv trove
    trove/bin/pip install datatrove regex tokenizers spacy 'xxhash<3.6'
    python benchmarks/minhash.py --data /path/to/shared/data --datatrove trove/bin/python \
        --distilabel distilabel/bin/python --data-juicer juicer/bin/python

distilabel tokenises with its character n-grams, because its words need a download of nltk data.
datatrove has no threshold; its default of 14 buckets of 8 hashes stands for one of 0.72.

Seconds are of the filtering alone: imports and starting a pipeline's processes are left out, for
them and for us. Tools and ours take turns; medians. ``--rows`` takes made rows in place of the
20,000 instructions.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from made_rows import made_rows

THRESHOLD = 0.7

DISTILABEL = """
import json, sys, time
from distilabel.steps import MinHashDedup
texts = json.load(open(sys.argv[1]))
step = MinHashDedup(tokenizer="ngrams", threshold=float(sys.argv[2]), storage="dict")
step.load()
start, spent = time.perf_counter(), time.process_time()
kept = []
for place in range(0, len(texts), 500):
    batch = [{"text": text} for text in texts[place : place + 500]]
    for rows in step.process(batch):
        kept += [row["keep_row_after_minhash_filtering"] for row in rows]
print(json.dumps([time.perf_counter() - start, time.process_time() - spent, kept]))
"""

DATA_JUICER = """
import json, sys, time
from datasets import Dataset, disable_progress_bars
from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator
disable_progress_bars()
texts = json.load(open(sys.argv[1]))
rows = Dataset.from_list([{"text": text, "place": place} for place, text in enumerate(texts)])
start, spent = time.perf_counter(), time.process_time()
operator = DocumentMinhashDeduplicator(jaccard_threshold=float(sys.argv[2]), lowercase=True)
left, _ = operator.process(rows.map(operator.compute_hash, load_from_cache_file=False))
places = set(left["place"])
kept = [place in places for place in range(len(texts))]
print(json.dumps([time.perf_counter() - start, time.process_time() - spent, kept]))
"""

DATATROVE = """
import json, sys, tempfile, time
from datatrove.data import Document
from datatrove.pipeline.dedup import minhash
texts = json.load(open(sys.argv[1]))
rows = [Document(text=text, id=str(place)) for place, text in enumerate(texts)]
start, spent = time.perf_counter(), time.process_time()
with tempfile.TemporaryDirectory() as folder:
    own = minhash.MinhashConfig()
    signatures, buckets, remove = (f"{folder}/{name}" for name in ("sig", "buckets", "remove"))
    minhash.MinhashDedupSignature(signatures, own).run(iter(rows), 0, 1)
    for rank in range(own.num_buckets):
        step = minhash.MinhashDedupBuckets(signatures, buckets, config=own)
        step.run(None, rank, own.num_buckets)
    minhash.MinhashDedupCluster(buckets, remove, own).run(None, 0, 1)
    left = {row.id for row in minhash.MinhashDedupFilter(remove).run(iter(rows), 0, 1)}
kept = [str(place) in left for place in range(len(texts))]
print(json.dumps([time.perf_counter() - start, time.process_time() - spent, kept]))
"""

OURS = """
import json, sys, time
from refine_af.dedup.index import RougeLIndex
texts = json.load(open(sys.argv[1]))
start, spent = time.perf_counter(), time.process_time()
rows = [(str(place), text) for place, text in enumerate(texts)]
kept = [near is None for near in RougeLIndex(float(sys.argv[2])).offer_all(rows)]
print(json.dumps([time.perf_counter() - start, time.process_time() - spent, kept]))
"""


def measured(python: str, script: str, file: Path) -> tuple[float, float, list[bool]]:
    """Return seconds of the wall and of the processor of one filter, and which rows it keeps."""
    command = [python, "-c", script, str(file), str(THRESHOLD)]
    single = os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=single)
    wall, processor, kept = json.loads(done.stdout.strip().split("\n")[-1])
    return wall, processor, kept


def texts_of(data: Path, rows: int) -> list[str]:
    """Return so many made rows, or for 0 the 20,000 instructions."""
    file = data / "dedup" / "instructions_20k.jsonl.gz"
    if rows:
        return list(made_rows(file, rows))
    return [json.loads(row)["text"] for row in gzip.decompress(file.read_bytes()).splitlines()]


def main() -> int:
    """Print a table: filter, seconds, rows dropped, found of the exact rule, dropped against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--distilabel", help="a Python that has distilabel")
    parser.add_argument("--data-juicer", help="a Python that has data-juicer")
    parser.add_argument("--datatrove", help="a Python that has datatrove")
    parser.add_argument("--rows", type=int, default=0, help="made rows; 0: the instructions")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    tools = {"exact ROUGE-L": (sys.executable, OURS)}
    if options.distilabel:
        tools["distilabel MinHashDedup"] = (options.distilabel, DISTILABEL)
    if options.data_juicer:
        tools["data-juicer minhash"] = (options.data_juicer, DATA_JUICER)
    if options.datatrove:
        tools["datatrove minhash"] = (options.datatrove, DATATROVE)
    texts = texts_of(options.data, options.rows)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in tools}
    kept: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts), encoding="utf-8")
        for _ in range(options.repeats):
            for name, (python, script) in tools.items():
                *spent, kept[name] = measured(python, script, file)
                seconds[name].append((spent[0], spent[1]))
    exact = {place for place, keep in enumerate(kept["exact ROUGE-L"]) if not keep}
    heads = "seconds: wall, CPU | dropped | found of the exact | dropped against it"
    print(f"{len(texts)} rows | {heads}")
    for name in tools:
        dropped = {place for place, keep in enumerate(kept[name]) if not keep}
        wall, processor = (statistics.median(side) for side in zip(*seconds[name], strict=True))
        print(
            f"{name} | {wall:.2f}, {processor:.2f} | {len(dropped)} |"
            f" {len(dropped & exact) / len(exact):.1%} | {len(dropped - exact)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
