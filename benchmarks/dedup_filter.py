"""The near-duplicate filter against the reference, plain rapidfuzz, and its own growth.

Run with the shared data's folder::

    python benchmarks/dedup_filter.py --data /path/to/shared/data

Every comparison alternates the two sides within one process and reports medians. Wall-clock
seconds are printed beside CPU seconds, since other work on the machine only slows the former.

Against another checkout, decisions, neighbours and scores and the time, in turns: made rows, or
with ``--rows 0`` the 20,000 instructions::

    python benchmarks/dedup_filter.py --data DIR --against CHECKOUT --rows 1000000 --repeats 1
"""

import argparse
import gzip
import hashlib
import json
import math
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from made_rows import made_rows
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from refine_af.dedup import index as index_module
from refine_af.dedup.index import RougeLIndex
from refine_af.dedup.rouge_l import f_measure, rouge_tokens
from refine_af.dedup.scores import f_measures

BOUND = 0.7
SCORER = RougeScorer(["rougeL"], use_stemmer=False)
PARTS = ("kinds", "reference", "adding", "scaling", "cdist")
KINDS = {
    "short": (30, 0, 3),
    "long": (400, 60, 250),
    "repeated words": (8, 4, 24),
    "two words": (2, 1, 11),
    "all alike": (40, 12, 12),
}
"""Different words, and fewest and most words of a row, of random rows."""
Row = tuple[str, str]


class Clock:
    """Wall-clock and CPU seconds of a block of code."""

    def __enter__(self) -> "Clock":
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


def line(what: str, *cells: str) -> None:
    """Print one row of the table."""
    print(" | ".join([what, *cells]), flush=True)


def texts(path: Path) -> list[str]:
    """Return the text column of a gzipped JSON Lines file."""
    rows = gzip.decompress(path.read_bytes()).split(b"\n")
    return [json.loads(row)["text"] for row in rows if row]


def numbered(values: list[str]) -> list[Row]:
    """Return (id, text) rows."""
    return [(str(number), value) for number, value in enumerate(values)]


def published_score(pair: tuple[str, str]) -> float:
    """Return one score as the published filter computes it in its worker processes."""
    return float(SCORER.score(*pair)["rougeL"].fmeasure)


def published_nearest(text: str, pool: list[str]) -> float:
    """Return the largest score as published: a new pool of four processes per candidate."""
    with Pool(4) as workers:
        return max(workers.map(published_score, [(text, old) for old in pool]))


def random_rows(kind: str, count: int) -> list[str]:
    """Return rows of a kind, a third of them earlier ones with a word or two changed."""
    words, least, most = KINDS[kind]
    draw = random.Random(kind)
    rows: list[list[str]] = []
    for _ in range(count):
        if rows and (draw.random() < 1 / 3 or kind == "all alike"):
            row = list(draw.choice(rows)) or ["w"]
            for _ in range(draw.randint(1, 2)):
                row[draw.randrange(len(row))] = f"w{draw.randrange(40)}"
        else:
            row = [f"w{draw.randrange(words)}" for _ in range(draw.randint(least, most))]
        rows.append(row)
    return [" ".join(row) for row in rows]


def kinds(count: int) -> None:
    """Decide random rows of five kinds one by one, against every kept row, and together."""
    index_module._BULK = 1  # else so few rows are decided block by block
    for kind in KINDS:
        rows = random_rows(kind, count)
        tokens = [rouge_tokens(text) for text in rows]
        kept: list[int] = []
        expected: list[tuple[str, float] | None] = []
        for number, ours in enumerate(tokens):
            best, nearest = 0.0, -1
            for other in kept:
                lcs = LCSseq.similarity(ours, tokens[other])
                score = f_measure(lcs, len(ours), len(tokens[other]))
                if score > best:
                    best, nearest = score, other
            expected.append((str(nearest), best) if best > BOUND else None)
            if best <= BOUND:
                kept.append(number)
        decided = RougeLIndex(BOUND).offer_all(numbered(rows))
        found = [(near.id, near.score) if near else None for near in decided]
        assert found == expected, f"{kind}: decided otherwise"
        line(f"{kind}, {count:,} random rows", f"{count - len(kept):,} dropped", "equal")


def against_reference(rows: list[str], repeats: int) -> None:
    """Time candidates against a pool of 4,000, one at a time on both sides."""
    pool, asked, more = rows[:4000], rows[4000 : 4000 + repeats], iter(rows[5000:])
    index = RougeLIndex(BOUND)
    index.add_all(numbered(pool))
    index.over_bound([])
    together = RougeLIndex(BOUND)
    together.add_all(numbered(pool))
    together.over_bound([])
    theirs, single, ours, block = [], [], [], []
    for text in asked:
        with Clock() as clock:
            published = published_nearest(text, pool)
        theirs.append(clock.wall)
        with Clock() as clock:
            best = max(published_score((text, old)) for old in pool)
        single.append(clock.wall)
        found = index.over_bound([text])[0]
        assert best == published
        assert (found is not None) == (best > BOUND)
        assert found is None or found.score == best
        batch = [(f"more-{number}", next(more)) for number in range(50)]
        for row in batch:
            with Clock() as clock:
                index.offer(*row)
            ours.append(clock.wall)
        with Clock() as clock:
            together.offer_all(batch)
        block.append(clock.wall / len(batch))
    for ask, times in (("singly", ours), ("50 together", block)):
        mine = statistics.median(times)
        for name, slow in (("as published, Pool(4)", theirs), ("rouge_score, 1 process", single)):
            median = statistics.median(slow)
            line(
                f"one candidate, pool of 4,000: {name}, against ours offered {ask}",
                f"{median * 1e3:.1f} ms against {mine * 1e3:.3f} ms wall",
                f"{median / mine:,.0f} x (medians of {len(slow)} and {len(times)})",
            )


def plain_filter(rows: list[str], block: int) -> list[bool]:
    """Return which rows stay, by rapidfuzz ``cdist`` against everything kept, in blocks."""
    vocabulary: dict[str, int] = {}
    pool: list[str] = []
    sizes: list[int] = []
    kept: list[bool] = []
    for start in range(0, len(rows), block):
        tokens = [tokenize(text, None) for text in rows[start : start + block]]
        codes = ["".join(code_point(vocabulary, token) for token in row) for row in tokens]
        lengths = np.array([len(row) for row in tokens])
        over = np.zeros(len(codes), np.bool_)
        if pool:
            counts = cdist(codes, pool, scorer=LCSseq.similarity, dtype=np.int32)
            scores = f_measures(counts, lengths[:, None], np.array(sizes))
            over = np.any(scores > BOUND, axis=1, out=over)
        counts = cdist(codes, codes, scorer=LCSseq.similarity, dtype=np.int32)
        within = f_measures(counts, lengths[:, None], lengths) > BOUND
        fresh: list[int] = []
        for place in range(len(codes)):
            stays = not over[place] and not within[place, fresh].any()
            kept.append(bool(stays))
            if stays:
                fresh.append(place)
        pool += [codes[place] for place in fresh]
        sizes += [int(lengths[place]) for place in fresh]
    return kept


def code_point(vocabulary: dict[str, int], token: str) -> str:
    """Return the token's code point, surrogates left out."""
    number = vocabulary.setdefault(token, len(vocabulary))
    return chr(number if number < 0xD800 else number + 0x800)


def our_filter(rows: list[str]) -> list[bool]:
    """Return which rows stay, by the index."""
    return [near is None for near in RougeLIndex(BOUND).offer_all(numbered(rows))]


def against_cdist(name: str, rows: list[str], repeats: int) -> None:
    """Time whole files, tokenising included, on one core."""
    sides: dict[str, Callable[[], list[bool]]] = {
        "ours": lambda: our_filter(rows),
        "cdist, 128 rows at a time": lambda: plain_filter(rows, 128),
        "cdist, row by row": lambda: plain_filter(rows, 1),
    }
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    wall: dict[str, list[float]] = {side: [] for side in sides}
    decisions = None
    for _ in range(repeats):
        for side, work in sides.items():
            with Clock() as clock:
                found = work()
            cpu[side].append(clock.cpu)
            wall[side].append(clock.wall)
            assert decisions in (None, found), f"{side} decides otherwise"
            decisions = found
    mine = statistics.median(cpu["ours"])
    for side in sides:
        median = statistics.median(cpu[side])
        line(
            f"{name}, {len(rows):,} rows: {side}",
            f"{statistics.median(wall[side]):.2f} s wall, {median:.2f} s CPU",
            f"{median / mine:.1f} x (CPU, median of {repeats}, decisions equal)",
        )


def sentences(data: Path) -> Iterator[str]:
    """Yield sentences of 6 to 35 words of the pretraining tasks' inputs, each once."""
    seen: set[str] = set()
    for name in ("superni_train_a.jsonl.gz", "superni_train_b.jsonl.gz"):
        with gzip.open(data / "pretrain" / name, "rt", encoding="utf-8", newline="\n") as source:
            for row in source:
                for part in re.split(r"[.?!\n]", json.loads(row)["input"]):
                    sentence = part.strip()
                    if 6 <= len(sentence.split()) <= 35 and sentence not in seen:
                        seen.add(sentence)
                        yield sentence


def mutated(data: Path, count: int, seed: int = 7) -> list[str]:
    """Return ``count`` rows, a quarter of them earlier rows changed in an eighth of their words."""
    draw = random.Random(seed)
    fresh = list(sentences(data))
    draw.shuffle(fresh)
    words = [word for sentence in fresh[:20_000] for word in sentence.split()]
    rows: list[str] = []
    for sentence in fresh:
        if len(rows) == count:
            break
        rows.append(sentence)
        if len(rows) < count and draw.random() < 1 / 3:
            changed = draw.choice(rows).split()
            for place in draw.sample(range(len(changed)), max(1, len(changed) // 8)):
                changed[place] = draw.choice(words)
            rows.append(" ".join(changed))
    assert len(rows) == count, f"the source gives only {len(rows)} rows"
    return rows


def growth(data: Path, count: int) -> None:
    """Filter made rows in this process and print seconds and memory as JSON."""
    rows = list(made_rows(data / "dedup" / "instructions_20k.jsonl.gz", count))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Clock() as clock:
        kept = sum(our_filter(rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([clock.wall, clock.cpu, kept, before / 1024, peak / 1024]))


def scaling(data: Path, sizes: list[int]) -> None:
    """Time growing files of made rows, each in a process of its own, on all cores."""
    points = []
    for size in sizes:
        command = [sys.executable, __file__, "--data", str(data), "--growth", str(size)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, cpu, kept, before, peak = json.loads(answer)
        points.append((math.log(size), math.log(wall), math.log(cpu)))
        line(
            f"made rows, {size:,}",
            f"{wall:.1f} s wall, {cpu:.1f} s CPU, {size / wall:,.0f} rows/s",
            f"kept {kept:,}, peak {peak:.0f} MiB ({before:.0f} MiB of it the rows themselves)",
        )
    rows, walls, cpus = np.array(points).T
    wall_slope, cpu_slope = (np.polyfit(rows, seconds, 1)[0] for seconds in (walls, cpus))
    line("log-log slope over rows", f"{wall_slope:.2f} of wall-clock, {cpu_slope:.2f} of CPU time")


def decide(data: Path, count: int) -> None:
    """Decide rows in this process; print seconds, rows kept and a digest of what was decided."""
    file = data / "dedup" / "instructions_20k.jsonl.gz"
    rows = numbered(list(made_rows(file, count)) if count else texts(file))
    with Clock() as clock:
        decided = RougeLIndex(BOUND).offer_all(rows)
    digest = hashlib.sha256()
    for near in decided:
        digest.update(f"{near.id} {near.score!r}\n".encode() if near else b"kept\n")
    print(json.dumps([clock.wall, clock.cpu, decided.count(None), digest.hexdigest()]))


def against(data: Path, checkout: Path, count: int, repeats: int) -> None:
    """Compare with the filter of another checkout, in turns, each in a process of its own."""
    sides = {"this": Path(__file__).resolve().parent.parent, "other": checkout.resolve()}
    found: dict[str, list[tuple[float, float, int, str]]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, folder in sides.items():
            command = [sys.executable, __file__, "--data", str(data), "--decide", str(count)]
            environment = os.environ | {"PYTHONPATH": str(folder)}
            answer = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            found[side].append(json.loads(answer.stdout))
    for side, runs in found.items():
        wall, cpu, kept, digests = zip(*runs, strict=True)
        line(
            f"{side} checkout, {count or 20_000:,} rows",
            f"{statistics.median(wall):.2f} s wall, {statistics.median(cpu):.2f} s CPU",
            f"kept {kept[0]:,}, decisions {digests[0][:16]}",
        )
    (ours, theirs) = (statistics.median(run[1] for run in found[side]) for side in sides)
    line("CPU time of this checkout", f"{ours / theirs:.2f} of the other's")
    if len({digest for runs in found.values() for *_, digest in runs}) > 1:
        sys.exit("decided otherwise")


def adding(data: Path, repeats: int) -> None:
    """Time 1,000 more rows for a pool of 50,000."""
    rows = mutated(data, 50_000 + 1_000 * repeats)
    index = RougeLIndex(BOUND)
    index.add_all(numbered(rows[:50_000]))
    with Clock() as clock:
        index.over_bound([])
    line("indexing a pool of 50,000", f"{clock.wall:.2f} s wall, {clock.cpu:.2f} s CPU")
    wall, cpu = [], []
    for start in range(50_000, len(rows), 1_000):
        with Clock() as clock:
            index.offer_all(numbered(rows[start : start + 1_000]))
        wall.append(clock.wall)
        cpu.append(clock.cpu)
    line(
        "1,000 rows for a pool of 50,000",
        f"{statistics.median(wall):.3f} s wall, {statistics.median(cpu):.3f} s CPU",
        f"slowest {max(wall):.3f} s wall (median of {repeats})",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data's folder")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="parts to run")
    parser.add_argument("--against", type=Path, help="another checkout, to compare with")
    parser.add_argument("--rows", type=int, default=0, help="made rows for --against")
    parser.add_argument("--growth", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--decide", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decide is not None:
        decide(options.data, options.decide)
        return
    if options.against:
        against(options.data, options.against, options.rows, options.repeats)
        return
    if options.growth:
        growth(options.data, options.growth)
        return
    instructions = texts(options.data / "dedup" / "instructions_20k.jsonl.gz")
    statements = texts(options.data / "dedup" / "statements_20k.jsonl.gz")
    if "kinds" in options.only:
        kinds(1_000)
    if "reference" in options.only:
        against_reference(instructions, 2 * options.repeats + 1)
    if "adding" in options.only:
        adding(options.data, 5)
    if "scaling" in options.only:
        scaling(options.data, [100_000, 300_000, 1_000_000])
    if "cdist" in options.only:
        against_cdist("instructions_20k", instructions, options.repeats)
        against_cdist("statements_20k", statements, options.repeats)


if __name__ == "__main__":
    main()
