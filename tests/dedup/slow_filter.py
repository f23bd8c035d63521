"""The Self-Instruct filter as published: every pool member, one by one, by rouge_score."""

from collections.abc import Sequence

from rouge_score.rouge_scorer import RougeScorer

SCORER = RougeScorer(["rougeL"], use_stemmer=False)


def score(new: str, old: str) -> float:
    return float(SCORER.score(new, old)["rougeL"].fmeasure)


def nearest(text: str, pool: Sequence[tuple[str, str]]) -> tuple[str, float]:
    """Return the first pool member with the largest score."""
    scores = [score(text, old) for _, old in pool]
    best = max(scores)
    return pool[scores.index(best)][0], best


def decide(
    rows: Sequence[tuple[str, str]], pool: Sequence[tuple[str, str]], bound: float
) -> list[tuple[str, float] | None]:
    """Return for each row the neighbour that drops it, or None where it joins the pool."""
    members = list(pool)
    verdicts: list[tuple[str, float] | None] = []
    for row in rows:
        found = nearest(row[1], members) if members else ("", 0.0)
        verdicts.append(found if found[1] > bound else None)
        if verdicts[-1] is None:
            members.append(row)
    return verdicts
