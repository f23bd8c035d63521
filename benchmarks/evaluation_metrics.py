"""Time our SUPER-NI scores against calling ``rouge_score`` row by row, on the same rows.

Run: ``python benchmarks/evaluation_metrics.py [ROWS.jsonl.gz]``. Without a file the rows are made
here: two references of 5 to 40 words each, drawn from a vocabulary with English endings.
"""

import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from rouge_score.rouge_scorer import RougeScorer

from refine_af.evaluation.metrics import AnswerScorer

Row = tuple[str, list[str]]
Work = Callable[[Sequence[Row]], list[float]]
ROUNDS = 25


def made_rows(count: int) -> list[Row]:
    """Return ``count`` rows of seeded nonsense: (prediction, references)."""
    draw = random.Random(1)
    endings = ["", "s", "ing", "ed", "ation", "ness", "ly"]
    words = [
        "".join(draw.choice("bcdfglmnprst") + draw.choice("aeiou") for _ in range(3))
        + draw.choice(endings)
        for _ in range(5000)
    ]
    texts = [" ".join(draw.choices(words, k=draw.randint(5, 40))) for _ in range(3 * count)]
    return [(texts[n], texts[n + 1 : n + 3]) for n in range(0, 3 * count, 3)]


def read_rows(path: str) -> list[Row]:
    """Return the rows of a file with ``prediction`` and ``references``."""
    with gzip.open(path, "rt", encoding="utf-8") as source:
        values = [json.loads(line) for line in source.read().split("\n") if line]
    return [(value["prediction"], value["references"]) for value in values]


def ours(rows: Sequence[Row]) -> list[float]:
    """Return our ROUGE-L of each row, by a scorer that remembers nothing yet."""
    return ours_again(AnswerScorer(), rows)


def ours_again(scorer: AnswerScorer, rows: Sequence[Row]) -> list[float]:
    """Return our ROUGE-L of each row, by a scorer that may have met their words before."""
    return [scorer.rouge_l(text, references) for text, references in rows]


def theirs(rows: Sequence[Row]) -> list[float]:
    """Return rouge_score's, as the official script calls it."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(scorer.score(target=item, prediction=text)["rougeL"].fmeasure for item in references)
        for text, references in rows
    ]


def timed(works: Sequence[Work], rows: Sequence[Row]) -> list[tuple[float, list[float]]]:
    """Return (least seconds of CPU over the rounds, the scores) of each; they take turns."""
    best = [float("inf")] * len(works)
    scores: list[list[float]] = [[]] * len(works)
    for _ in range(ROUNDS):
        for place, work in enumerate(works):
            start = time.process_time()
            scores[place] = work(rows)
            best[place] = min(best[place], time.process_time() - start)
    return list(zip(best, scores, strict=True))


def main() -> None:
    """Print the times and their ratios; stop when a score differs."""
    rows = read_rows(sys.argv[1]) if len(sys.argv) > 1 else made_rows(500)
    works: list[Work] = [ours, partial(ours_again, AnswerScorer()), theirs]
    (first, scores), (later, again), (slow, expected) = timed(works, rows)
    assert scores == again == expected, "scores differ"
    sys.stdout.write(
        f"{len(rows)} rows, least of {ROUNDS} runs, CPU time, same floats: rouge_score"
        f" {slow:.4f} s; ours {first:.4f} s for the first arm ({slow / first:.0f} times faster),"
        f" {later:.4f} s for each further one ({slow / later:.0f} times faster)\n"
    )


if __name__ == "__main__":
    main()
