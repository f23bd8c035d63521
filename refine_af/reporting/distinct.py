"""Counts different things among many, in 8 or 16 bytes each instead of a set of Python objects."""

import hashlib
from array import array
from collections.abc import Hashable, Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

_PARTS = 16
"""Codes are sorted in so many parts, so that little memory is needed for it."""


class Repetitions:
    """Counts how often each of many texts occurs; they count by their digest."""

    def __init__(self) -> None:
        """Start without any."""
        self._digests = bytearray()

    def add(self, text: str) -> None:
        """Count a text."""
        encoded = text.encode("utf-8", "surrogatepass")
        self._digests += hashlib.blake2b(encoded, digest_size=16).digest()

    def counts(self) -> Counts:
        """Return the count of each different text, in any order."""
        _, counts = np.unique(np.frombuffer(self._digests, "S16"), return_counts=True)
        return counts.astype(np.int64)


class Numbered:
    """Numbers things in the order in which they are first met."""

    def __init__(self) -> None:
        """Start without any."""
        self._numbers: dict[Hashable, int] = {}

    def number(self, item: Hashable) -> int:
        """Return the number of an item, from 0."""
        return self._numbers.setdefault(item, len(self._numbers))

    def pairs(self, items: Iterable[Hashable]) -> list[int]:
        """Return one number, below 2^64, for each pair of neighbours."""
        numbers = map(self.number, items)
        return [first << 32 | second for first, second in pairwise(numbers)]


def different(codes: "array[int]") -> int:
    """Return how many different numbers there are, each below 2^64."""
    every, parts = np.frombuffer(codes, np.uint64), _parts_of(codes)
    return sum(len(np.unique(every[parts == part])) for part in range(_PARTS))


def first_met(codes: "array[int]", rounds: "array[int]", count: int) -> Counts:
    """Return for each of ``count`` rounds how many different codes it is the first to hold.

    Args:
        codes: Numbers below 2^64.
        rounds: The round of each; those of -1 were met before the first.
        count: Of rounds.
    """
    fresh = np.zeros(count, np.int64)
    every, when = np.frombuffer(codes, np.uint64), np.frombuffer(rounds, np.int32)
    parts = _parts_of(codes)
    for part in range(_PARTS):
        some = parts == part
        order = np.lexsort((when[some], every[some]))
        ordered, first = every[some][order], when[some][order]
        new = np.ones(len(ordered), np.bool_)
        new[1:] = ordered[1:] != ordered[:-1]
        first = first[new]
        fresh += np.bincount(first[first >= 0], minlength=count)
    return fresh


def _parts_of(codes: "array[int]") -> npt.NDArray[np.uint8]:
    """Return the part that each code belongs to, by one of its bytes."""
    parts: npt.NDArray[np.uint8] = np.frombuffer(codes, np.uint8)[::8] % _PARTS
    return parts
