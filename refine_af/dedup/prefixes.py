"""The arithmetic of the prefix filter, and the sorted postings it is looked up in.

Two rows of m and n tokens can only have F > t if they share at least t(m+n)/2 tokens, counted with
repetitions. Sort the tokens of every row by one fixed order, rare before frequent. If the first
token that both rows hold is at position i of one row and j of the other (from 0), they share at
most min(m - i, n - j). So only rows need comparing whose first common token satisfies

    m - i >= t(m+n)/2   and   n - j >= t(m+n)/2,

which solves to n <= reach(m, i) and m <= reach(n, j) with ``reach(m, i) = 2(m - i)/t - m``.
Tokens with ``reach(m, i)`` below the shortest possible partner are never indexed or looked up.

Source: the prefix and positional filters of set-similarity joins (AllPairs, Bayardo et al. 2007;
PPJoin, Xiao et al. 2008), here for ROUGE-L with rows arriving in any order of length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_SLACK = 1e-6
"""Widens every bound far beyond float rounding; the exact formula decides afterwards."""

_LONGEST = (1 << 31) - 1
_LOW_HALF = (1 << 32) - 1
_CHUNK = 1 << 17
"""Postings looked at together: bounds memory to about 10 MB however common a token is.

Sixteen times as many took half as long again, in the kernel: arrays of that size are given back
and zeroed anew each time.
"""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The rare tokens of some rows: entry k says that row ``row[k]`` holds token ``key[k]``.

    Attributes:
        row: Number of the row, ascending.
        key: Rank of the token, rare tokens first; each once per row.
        size: Tokens of the row.
        reach: Most tokens that a partner can have whose first shared token this is.
    """

    row: Ints
    key: Ints
    size: Ints
    reach: Ints

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Prefixes":
        """Return the entries of the rows where ``chosen`` is true."""
        some = chosen[self.row]
        return Prefixes(self.row[some], self.key[some], self.size[some], self.reach[some])


class LengthBounds:
    """Which lengths can go together at one bound."""

    def __init__(self, bound: float) -> None:
        """Prepare for F > ``bound``, in [0, 1]."""
        self._ratio = max(bound - _SLACK, _SLACK)

    def reach(self, size: Ints, position: Ints) -> Ints:
        """Return the most tokens of a partner whose first shared token is at ``position``."""
        longest = 2 * (size - position) / self._ratio - size + _SLACK
        tokens: Ints = np.minimum(np.floor(longest), _LONGEST).astype(np.int64)
        return tokens

    def shortest(self, size: Ints) -> Ints:
        """Return the fewest tokens of a partner."""
        least = size * (self._ratio / (2 - self._ratio)) - _SLACK
        tokens: Ints = np.maximum(np.ceil(least), 1).astype(np.int64)
        return tokens

    def possible(self, tokens: Ints, shared: Ints) -> npt.NDArray[np.bool_]:
        """Return whether pairs of ``tokens`` in both rows can be similar with that overlap."""
        enough: npt.NDArray[np.bool_] = shared >= self._ratio / 2 * tokens - _SLACK
        return enough

    def prefixes(self, keys: Ints, lengths: Ints) -> Prefixes:
        """Return the entries worth looking at, for rows laid end to end in ``keys``."""
        row = np.repeat(np.arange(len(lengths)), lengths)
        joint = np.sort((row << 32) + keys)
        starts = np.cumsum(lengths) - lengths
        size = lengths[row]
        reach = self.reach(size, np.arange(len(keys)) - starts[row])
        useful = reach >= self.shortest(lengths)[row]
        useful[1:] &= joint[1:] != joint[:-1]
        row = row[useful]
        return Prefixes(row, joint[useful] - (row << 32), size[useful], reach[useful])


class Postings:
    """Prefix entries of stored rows, sorted by token and then by length of the row."""

    def __init__(
        self, token_size: Ints, row: npt.NDArray[np.int32], reach: Ints, rows: range
    ) -> None:
        """Take entries in any order.

        Args:
            token_size: ``(key << 32) + size`` of each entry.
            row: Row of each entry.
            reach: Reach of each entry.
            rows: The stored rows, also those without an entry.
        """
        self.rows = rows
        order = np.argsort(token_size, kind="stable")
        self.token_size = token_size[order]
        self.row = row[order]
        self.reach = reach[order].astype(np.int32)

    @classmethod
    def of(cls, entries: Prefixes, rows: range) -> "Postings":
        """Store ``entries``, whose row 0 is the first of ``rows``."""
        row = (entries.row + rows.start).astype(np.int32)
        return cls((entries.key << 32) + entries.size, row, entries.reach, rows)

    def __len__(self) -> int:
        return len(self.row)

    def merged(self, later: "Postings") -> "Postings":
        """Return both in one; the rows of ``later`` follow on."""
        return Postings(
            np.concatenate([self.token_size, later.token_size]),
            np.concatenate([self.row, later.row]),
            np.concatenate([self.reach, later.reach]),
            range(self.rows.start, later.rows.stop),
        )

    def lookup(self, asked: Prefixes, shortest: Ints) -> "Lookup":
        """Find the stored entries of each entry asked about whose rows are not too short or long.

        Args:
            asked: Entries of the rows that look for partners.
            shortest: Fewest tokens of a partner, for each entry of ``asked``.
        """
        low = np.searchsorted(self.token_size, (asked.key << 32) + shortest)
        high = np.searchsorted(self.token_size, (asked.key << 32) + asked.reach, "right")
        return Lookup(self, asked, low, high - low)


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where the partners of some rows stand: ``counts[k]`` postings from ``low[k]`` on."""

    postings: Postings
    asked: Prefixes
    low: Ints
    counts: Ints

    def totals(self, rows: int) -> Ints:
        """Return the postings to look at for each of ``rows`` rows asked about."""
        sums = np.bincount(self.asked.row, self.counts, minlength=rows)
        totals: Ints = sums.astype(np.int64)
        return totals

    def pairs(self, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[Ints, Ints]]:
        """Yield (asked row, stored row) pairs that may be similar; a pair may come many times.

        Args:
            wanted: Which rows asked about to give pairs for.
        """
        counts = np.where(wanted[self.asked.row], self.counts, 0)
        ends = np.cumsum(counts)
        start = 0
        while start < len(counts):
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + _CHUNK, "right")), start + 1)
            some = slice(start, stop)
            which = np.repeat(np.arange(start, stop), counts[some])
            offset = self.low[some] - (ends[some] - counts[some])
            entry = np.arange(done, ends[stop - 1]) + np.repeat(offset, counts[some])
            fits = self.postings.reach[entry] >= self.asked.size[which]
            yield self.asked.row[which[fits]], self.postings.row[entry[fits]].astype(np.int64)
            start = stop


def distinct(new: Ints, old: Ints) -> tuple[Ints, Ints]:
    """Return the pairs sorted and once each."""
    joint = np.sort((new << 32) + old)
    fresh = np.ones(len(joint), np.bool_)
    fresh[1:] = joint[1:] != joint[:-1]
    joint = joint[fresh]
    return joint >> 32, joint & _LOW_HALF
