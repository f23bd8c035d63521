"""The rows of a pool in compact form: about 4 bytes a token twice, and 100 bytes a row."""

from typing import Any

import numpy as np
import numpy.typing as npt

from refine_af.dedup.vocabulary import WORDS, Bits, Encoded, Ints


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

    def numbers(self, start: int, stop: int) -> Ints:
        """Return the token numbers of rows ``start`` to ``stop``, laid end to end."""
        ends = self._ends.items
        first = ends[start - 1] if start else 0
        last = ends[stop - 1] if stop else 0
        return self._numbers.items[first:last].astype(np.int64)

    def row(self, place: int) -> Ints:
        """Return the token numbers of one row."""
        return self.numbers(place, place + 1)

    def extend(self, rows: Encoded) -> None:
        """Append all rows of ``rows``."""
        total = len(self._numbers.items)
        self._numbers.extend(rows.numbers)
        self._lengths.extend(rows.lengths)
        self._signatures.extend(rows.signatures)
        self._doubled.extend(rows.doubled)
        self._ends.extend(np.cumsum(rows.lengths) + total)
        self.codes += rows.codes
