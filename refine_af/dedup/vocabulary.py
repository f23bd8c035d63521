"""Tokens as small integers, and rows of tokens as strings of one code point per token."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from refine_af.dedup.rouge_l import TOKENIZERS, Token, Tokens

CODE_POINTS = 0x110000 - 0x800
"""Different code points that a Python string can hold when surrogates are left out."""

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]

WORDS = 2
"""64-bit words of a row's signature; two distinguish most unrelated rows of 40 tokens."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some rows as token numbers.

    Attributes:
        numbers: Token numbers of all rows, one after the other.
        lengths: Tokens of each row.
        codes: One string per row, one code point per token. Equal tokens have equal code points;
            the opposite holds only while :attr:`Vocabulary.overflows` is false.
        signatures: Shape [rows, WORDS]; bit ``number mod 64 WORDS`` is set for each token, so a
            bit of one row that another lacks is a token that the other lacks.
        doubled: Tokens of each row whose bit an earlier token of it has set.
    """

    numbers: Ints
    lengths: Ints
    codes: list[str]
    signatures: Bits
    doubled: Ints

    def __len__(self) -> int:
        return len(self.codes)

    def row(self, index: int) -> Ints:
        """Return the token numbers of one row; costs O(rows)."""
        end = int(self.lengths[: index + 1].sum())
        return self.numbers[end - int(self.lengths[index]) : end]

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Encoded":
        """Return the rows where ``chosen`` is true."""
        if chosen.all():
            return self
        codes = [code for code, wanted in zip(self.codes, chosen.tolist(), strict=True) if wanted]
        tokens = np.repeat(chosen, self.lengths)
        return Encoded(
            self.numbers[tokens],
            self.lengths[chosen],
            codes,
            self.signatures[chosen],
            self.doubled[chosen],
        )


class _Numbers(dict[Token, int]):
    def __missing__(self, token: Token) -> int:
        self[token] = number = len(self)
        return number


class Vocabulary:
    """Numbers tokens in the order in which they are first seen, from 0."""

    def __init__(self, tokens: Tokens, code_points: int = CODE_POINTS) -> None:
        """Use the tokenizer named ``tokens``; ``code_points`` is lower only in tests."""
        self._tokenize = TOKENIZERS[tokens]
        self._numbers = _Numbers()
        self._code_points = code_points

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def overflows(self) -> bool:
        """Whether two tokens may share a code point, so that codes only bound an overlap."""
        return len(self._numbers) > self._code_points

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Return the rows of ``texts``; tokens never seen before get new numbers."""
        rows = [self._tokenize(text) for text in texts]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        numbers = np.fromiter(
            map(self._numbers.__getitem__, chain.from_iterable(rows)),
            np.int64,
            int(lengths.sum()),
        )
        signatures = _signatures(numbers, lengths)
        doubled = lengths - np.bitwise_count(signatures).sum(axis=1)
        return Encoded(numbers, lengths, self._codes(numbers, lengths), signatures, doubled)

    def _codes(self, numbers: Ints, lengths: Ints) -> list[str]:
        points = numbers % self._code_points
        points += (points >= 0xD800) * 0x800
        joined = points.astype("<u4").tobytes().decode("utf-32-le")
        ends = np.cumsum(lengths).tolist()
        return [joined[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]


def _signatures(numbers: Ints, lengths: Ints) -> Bits:
    signatures = np.zeros((len(lengths), WORDS), np.uint64)
    filled = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[filled]
    if len(starts):
        position = numbers % (64 * WORDS)
        bit = np.uint64(1) << (position % 64).astype(np.uint64)
        for word in range(WORDS):
            held = np.where(position // 64 == word, bit, np.uint64(0))
            signatures[filled, word] = np.bitwise_or.reduceat(held, starts)
    return signatures
