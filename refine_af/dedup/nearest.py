"""The nearest of many texts to a given text, without an index: the cheapest way for one query."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from rapidfuzz.distance import LCSseq

from refine_af.dedup.rouge_l import f_measure, rouge_tokens

BLOCK = 8192
"""Texts that are held together."""

Near = tuple[int, float]
"""Index of a text and its ROUGE-L F1, in [0, 1]."""


def nearest_texts(text: str, others: Iterable[str], count: int) -> list[Near]:
    """Return the ``count`` nearest of ``others``, best first, ties by index.

    Equal to comparing with each of them. Tokens in common bound the F1, so only those whose bound
    reaches the result are compared: about 3 microseconds a text, a third of what
    :class:`refine_af.dedup.index.RougeLIndex` takes to read and compare them once. ``others`` are
    taken :data:`BLOCK` at a time and not held.
    """
    ours = rouge_tokens(text)
    best: list[Near] = []
    numbered = enumerate(others)
    seen = 0
    while block := list(islice(numbered, BLOCK)):
        seen += len(block)
        for bound, index, tokens in _bounded(ours, block):
            if len(best) == count and bound < best[-1][1]:
                break
            score = f_measure(LCSseq.similarity(ours, tokens), len(ours), len(tokens))
            best = sorted([*best, (index, score)], key=_order)[:count]
    missing = count - len(best)
    if missing > 0:
        taken = {index for index, _ in best}
        rest = (index for index in range(seen) if index not in taken)
        best += [(index, 0.0) for index, _ in zip(rest, range(missing), strict=False)]
    return best


def _bounded(
    ours: list[bytes], others: Iterable[tuple[int, str]]
) -> list[tuple[float, int, list[bytes]]]:
    """Return upper bound of the F1, index and tokens of each text that shares a token.

    Largest bound first, ties by index.
    """
    counts = Counter(ours)
    known = frozenset(counts)
    candidates = []
    for index, other in others:
        tokens = rouge_tokens(other)
        common = known.intersection(tokens)
        if common:
            most = min(sum(counts[token] for token in common), len(tokens))
            candidates.append((f_measure(most, len(ours), len(tokens)), index, tokens))
    return sorted(candidates, key=lambda candidate: (-candidate[0], candidate[1]))


def _order(near: Near) -> tuple[float, int]:
    return -near[1], near[0]
