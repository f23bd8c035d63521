"""The nearest of many texts to one, without an index: what one question costs least."""

from collections import Counter
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from refine_af.dedup.rouge_l import f_measure, rouge_tokens

Near = tuple[int, float]
"""Place of a text and its ROUGE-L F1, in [0, 1]."""


def nearest_texts(text: str, others: Sequence[str], count: int) -> list[Near]:
    """Return the ``count`` nearest of ``others``, best first, ties by place.

    Equal to comparing with each of them. Tokens in common bound the F1, so only those whose bound
    reaches the result are compared: about 3 microseconds a text, a third of what
    :class:`refine_af.dedup.index.RougeLIndex` takes to read and compare them once.
    """
    ours = rouge_tokens(text)
    best: list[Near] = []
    for bound, place, tokens in _bounded(ours, others):
        if len(best) == count and bound < best[-1][1]:
            break
        score = f_measure(LCSseq.similarity(ours, tokens), len(ours), len(tokens))
        best = sorted([*best, (place, score)], key=_order)[:count]
    missing = count - len(best)
    if missing > 0:
        taken = {place for place, _ in best}
        rest = (place for place in range(len(others)) if place not in taken)
        best += [(place, 0.0) for place, _ in zip(rest, range(missing), strict=False)]
    return best


def _bounded(ours: list[bytes], others: Sequence[str]) -> list[tuple[float, int, list[bytes]]]:
    """Return what an F1 can be at most, place and tokens of each text with a token in common.

    Largest bound first, ties by place.
    """
    counts = Counter(ours)
    known = frozenset(counts)
    found = []
    for place, other in enumerate(others):
        tokens = rouge_tokens(other)
        common = known.intersection(tokens)
        if common:
            most = min(sum(counts[token] for token in common), len(tokens))
            found.append((f_measure(most, len(ours), len(tokens)), place, tokens))
    return sorted(found, key=lambda one: (-one[0], one[1]))


def _order(near: Near) -> tuple[float, int]:
    return -near[1], near[0]
