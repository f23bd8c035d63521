"""The rows of a pool in compact form: about 4 bytes a token twice, and 100 bytes a row."""

from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from refine_af.dedup.vocabulary import WORDS, Bits, Encoded, Ints

_COUNTED = 1 << 20
"""Tokens counted together: numpy makes 8 bytes of each meanwhile."""


class Growing:
    """An array that grows along its first axis in amortised constant time per item."""

    def __init__(self, dtype: npt.DTypeLike, *shape: int) -> None:
        """Start empty, with items of ``dtype`` and ``shape``."""
        self._held: npt.NDArray[Any] = np.empty((1024, *shape), dtype)
        self._size = 0

    def extend(self, items: npt.NDArray[Any]) -> None:
        """Append ``items``, converted to the array's type."""
        needed = self._size + len(items)
        if needed > len(self._held):
            room = max(needed, len(self._held) * 3 // 2)
            larger = np.empty((room, *self._held.shape[1:]), self._held.dtype)
            larger[: self._size] = self.items
            self._held = larger
        self._held[self._size : needed] = items
        self._size = needed

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Drop the items where ``chosen`` is false."""
        count = int(np.count_nonzero(chosen))
        self._held[:count] = self.items[chosen]
        self._size = count

    @property
    def items(self) -> npt.NDArray[Any]:
        """The items so far, as a view; do not keep it across an ``extend``."""
        return self._held[: self._size]


class EncodedPool:
    """Encoded rows in order of arrival, numbered from 0; see :class:`Encoded` for the fields."""

    def __init__(self) -> None:
        """Start without rows."""
        self.codes: list[str] = []
        self._numbers = Growing(np.int32)
        self._lengths = Growing(np.int64)
        self._ends = Growing(np.int64)
        self._signatures = Growing(np.uint64, WORDS)
        self._doubled = Growing(np.int64)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def lengths(self) -> Ints:
        """Tokens of each row, as a view."""
        return self._lengths.items

    @property
    def signatures(self) -> Bits:
        """Signature of each row, as a view."""
        return self._signatures.items

    @property
    def doubled(self) -> Ints:
        """Tokens of each row beyond the bits of its signature, as a view."""
        return self._doubled.items

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return len(self._numbers.items)

    def numbers(self, start: int, stop: int) -> Ints:
        """Return the token numbers of rows ``start`` to ``stop``, laid end to end."""
        ends = self._ends.items
        first = ends[start - 1] if start else 0
        last = ends[stop - 1] if stop else 0
        return self._numbers.items[first:last].astype(np.int64)

    def row(self, index: int) -> Ints:
        """Return the token numbers of one row."""
        return self.numbers(index, index + 1)

    def encoded(self, start: int, stop: int) -> Encoded:
        """Return a copy of rows ``start`` to ``stop``."""
        return Encoded(
            self.numbers(start, stop),
            self.lengths[start:stop].copy(),
            self.codes[start:stop],
            self.signatures[start:stop].copy(),
            self.doubled[start:stop].copy(),
        )

    def tokens_of(self, rows: Ints) -> npt.NDArray[np.int32]:
        """Return the token numbers of ``rows``, in ascending order, laid end to end."""
        chosen = np.zeros(len(self), np.bool_)
        chosen[rows] = True
        if chosen.all():
            return self._numbers.items
        return self._numbers.items[np.repeat(chosen, self.lengths)]

    def token_counts(self) -> Ints:
        """Return how often each token number occurs."""
        numbers = self._numbers.items
        counts = np.zeros(int(numbers.max(initial=-1)) + 1, np.int64)
        for start in range(0, len(numbers), _COUNTED):
            part = np.bincount(numbers[start : start + _COUNTED])
            counts[: len(part)] += part
        return counts

    def keep(self, chosen: npt.NDArray[np.bool_]) -> None:
        """Drop the rows where ``chosen`` is false; the others move up."""
        tokens = np.repeat(chosen, self.lengths)
        self.codes = list(compress(self.codes, chosen.tolist()))
        self._numbers.keep(tokens)
        for column in (self._lengths, self._signatures, self._doubled, self._ends):
            column.keep(chosen)
        self._ends.items[:] = np.cumsum(self.lengths)

    def extend(self, rows: Encoded) -> None:
        """Append all rows of ``rows``."""
        total = len(self._numbers.items)
        self._numbers.extend(rows.numbers)
        self._lengths.extend(rows.lengths)
        self._signatures.extend(rows.signatures)
        self._doubled.extend(rows.doubled)
        self._ends.extend(np.cumsum(rows.lengths) + total)
        self.codes += rows.codes
