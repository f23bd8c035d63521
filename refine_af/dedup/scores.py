"""ROUGE-L of many pairs at once: rapidfuzz counts, the reference's formula decides."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Indel, LCSseq
from rapidfuzz.process import cdist, cpdist

from refine_af.dedup.vocabulary import Encoded, Ints

Floats = npt.NDArray[np.float64]

_SLACK = 1e-6

_CELLS = 1 << 22
"""Pairs compared together in a full comparison: 16 MiB of similarities."""


class EncodedRows(Protocol):
    """Rows that can be compared: those asked about, or those of the pool."""

    @property
    def codes(self) -> list[str]:
        """One string per row."""

    @property
    def lengths(self) -> Ints:
        """Tokens of each row."""

    def row(self, index: int) -> Ints:
        """Return the token numbers of one row."""


class Pairs(NamedTuple):
    """Pairs of rows that exceed the bound, with their F1."""

    new: list[int]
    old: list[int]
    score: list[float]


_NONE = Pairs([], [], [])


def f_measures(lcs: Ints, new: Ints, old: Ints) -> Floats:
    """Return :func:`refine_af.dedup.rouge_l.f_measure` of each item: the same roundings."""
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = lcs / new, lcs / old
        scores: Floats = 2 * precision * recall / (precision + recall)
    return np.where(lcs > 0, scores, 0.0)


def likely_by_full_comparison(
    new: Ints, old: range, asked: EncodedRows, stored: EncodedRows, bound: float
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of ``new`` and ``old`` rows that may exceed ``bound``, sorted, in parts.

    Compares everything, which costs a fifth per pair of what a single pair costs.
    """
    theirs = stored.codes[old.start : old.stop]
    step = max(1, _CELLS // max(1, len(theirs)))
    for start in range(0, len(new), step):
        part = new[start : start + step]
        similarity = cdist(
            [asked.codes[index] for index in part.tolist()],
            theirs,
            scorer=Indel.normalized_similarity,
            score_cutoff=max(bound - _SLACK, 0.0),
            dtype=np.float32,
        )
        rows, columns = np.nonzero(similarity)
        yield part[rows], columns + old.start


def exceeding(
    new: Ints, old: Ints, asked: EncodedRows, stored: EncodedRows, bound: float, recheck: bool
) -> Pairs:
    """Return the pairs whose F1 is over ``bound``, in the order given.

    Args:
        new: Index of each pair's row in ``asked``; the row has tokens.
        old: Index of each pair's row in ``stored``.
        asked: Rows to judge.
        stored: Rows to compare with.
        bound: Strict lower bound of the F1.
        recheck: Different tokens may share a code point: count survivors again by number.
    """
    if not len(new):
        return _NONE
    ours, theirs = asked.codes, stored.codes
    # Indel similarity is 2 LCS / (m + n); its cutoff lets rapidfuzz give up early.
    similarity = cpdist(
        [ours[index] for index in new.tolist()],
        [theirs[index] for index in old.tolist()],
        scorer=Indel.normalized_similarity,
        score_cutoff=max(bound - _SLACK, 0.0),
        dtype=np.float64,
    )
    likely = similarity > 0
    if not likely.any():
        return _NONE
    new, old, similarity = new[likely], old[likely], similarity[likely]
    new_size, old_size = asked.lengths[new], stored.lengths[old]
    lcs = np.rint(similarity * (new_size + old_size) / 2).astype(np.int64)
    if recheck:
        lcs = _exact_overlaps(new, old, asked, stored)
    scores = f_measures(lcs, new_size, old_size)
    over = scores > bound
    return Pairs(new[over].tolist(), old[over].tolist(), scores[over].tolist())


def _exact_overlaps(new: Ints, old: Ints, asked: EncodedRows, stored: EncodedRows) -> Ints:
    counts = (
        LCSseq.similarity(asked.row(ours).tolist(), stored.row(theirs).tolist())
        for ours, theirs in zip(new.tolist(), old.tolist(), strict=True)
    )
    return np.fromiter(counts, np.int64, len(new))


def overlaps_with_all(asked: Encoded, stored: EncodedRows, recheck: bool) -> Ints:
    """Return the LCS of the single row of ``asked`` with each stored row, in tokens."""
    if recheck:
        indices = np.arange(len(stored.codes))
        return _exact_overlaps(np.zeros_like(indices), indices, asked, stored)
    counts = cdist(asked.codes, stored.codes, scorer=LCSseq.similarity, dtype=np.int64)
    row: Ints = counts[0]
    return row
