"""Blocks of tokens for training: documents packed side by side, each apart from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embedded_model.render import Document, document
from refine_af.builtin import EOS_ID, PAD_ID
from refine_af.builtin.randomness import rng_for


@dataclass(frozen=True)
class Blocks:
    """Packed documents; every array has the shape [blocks, length].

    ``document`` numbers the documents of a block from 1 (0 is padding) and ``position`` counts
    within one, so that a document is learned as if it stood alone.
    """

    tokens: NDArray[np.int64]
    weights: NDArray[np.float32]
    document: NDArray[np.int64]
    position: NDArray[np.int64]


def texts(seed: int, first: int, count: int) -> list[str]:
    """Return that many documents of the corpus as text."""
    return [
        "".join(text for text, _ in document(rng_for(seed, "document", first + i)))
        for i in range(count)
    ]


def encode(tokenizer: Tokenizer, parts: Document) -> tuple[list[int], list[float]]:
    """Encode one document with its end mark; the end has the weight of the last part."""
    ids: list[int] = []
    weights: list[float] = []
    for text, weight in parts:
        found = tokenizer.encode(text).ids
        ids += found
        weights += [weight] * len(found)
    return [*ids, EOS_ID], [*weights, max(weights[-1], 0.5)]


_Encoded = tuple[list[int], list[float]]
_WAITING = 24


class _Stream:
    """Documents in order, with a few held back to fill the gaps at the ends of blocks."""

    def __init__(self, tokenizer: Tokenizer, seed: int, length: int, first: int) -> None:
        self._tokenizer, self._seed, self._length = tokenizer, seed, length
        self.number = first
        self._waiting: list[_Encoded] = []

    def _refill(self) -> None:
        while len(self._waiting) < _WAITING:
            drawn = document(rng_for(self._seed, "document", self.number))
            ids, weights = encode(self._tokenizer, drawn)
            self._waiting.append((ids[: self._length], weights[: self._length]))
            self.number += 1

    def take(self, room: int) -> _Encoded | None:
        """Return the oldest waiting document that fits."""
        self._refill()
        for place, (ids, _) in enumerate(self._waiting):
            if len(ids) <= room:
                return self._waiting.pop(place)
        return None


def blocks(
    tokenizer: Tokenizer, seed: int, length: int, size: int, first: int = 0
) -> Iterator[Blocks]:
    """Yield packed blocks for ever, from the given document on; same seed, same blocks."""
    stream = _Stream(tokenizer, seed, length, first)
    while True:
        out = _empty(size, length)
        for row in range(size):
            _fill_row(out, row, stream)
        yield out


def _empty(size: int, length: int) -> Blocks:
    return Blocks(
        np.full((size, length), PAD_ID, np.int64),
        np.zeros((size, length), np.float32),
        np.zeros((size, length), np.int64),
        np.zeros((size, length), np.int64),
    )


def _fill_row(out: Blocks, row: int, stream: _Stream) -> None:
    start, number = 0, 1
    length = out.tokens.shape[1]
    while (taken := stream.take(length - start)) is not None:
        ids, weights = taken
        end = start + len(ids)
        out.tokens[row, start:end] = ids
        out.weights[row, start:end] = weights
        out.document[row, start:end] = number
        out.position[row, start:end] = np.arange(len(ids))
        start, number = end, number + 1
