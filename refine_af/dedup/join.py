"""Every pair of rows that may be similar, found by the rare tokens that they must share.

Two rows of m and n tokens have F > t only if their longest common subsequence has at least
o = t(m+n)/2 tokens. Sort the tokens of each row by one fixed order, rare before frequent, and look
at the tokens of that subsequence: the first stands at position m - o of the one row (from 0) and
n - o of the other or before, the second at most one later. So the two rows share a *key*, a token
or two tokens within these bounds. A key of one token is used where few rows have it, else keys of
two. A row is looked up, as the longer of a pair, with all of its keys; it is found, as the shorter
one, by those that a partner of at least its own length leaves possible.

Keys only select. Whether two rows can share o tokens is then bounded by their signatures: a bit
per token, so that a bit of one row that the other lacks is a token that it lacks. Signatures of the
tokens from the key on are looked at first: of rows that have rarer tokens in common as well, most
are left to the keys of those.

Source: prefix, length and position filters of set-similarity joins (AllPairs, Bayardo et al. 2007;
PPJoin, Xiao et al. 2008), keys of several prefix tokens (AdaptJoin, Wang et al. 2012), signatures
(Bitmap filter, Sandes et al. 2020). Nothing is sorted by comparison: keys are grouped by counting.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from refine_af.dedup.vocabulary import Bits, Ints

Small = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint32]
Shares = npt.NDArray[np.int16]
Mask = npt.NDArray[np.bool_]

_Needs = tuple[Bits, Shares]
"""Signatures, and what each row contributes to the bits that two must share, in eighths."""

_LOW_HALF = (1 << 32) - 1

_SLACK = 1e-6
"""Widens every bound far beyond float rounding; the exact formula decides afterwards."""

_COMMON = 1500
"""Rows with one token from which on keys of two tokens replace it."""

_CROWDED = 256
"""Partners of a key from which on they are compared as a block: three times as fast a pair."""

_KEYS = 1 << 18
"""Keys that are handled together: bounds memory, and they fit a processor's cache."""

_PAIRS = 1 << 16
"""Pairs that are handled together."""

_BLOCK = 1 << 17
"""The same where they are a block."""

_WORDS = 2
"""64-bit words of the signature that is looked at first: of pairs with a key in common 3 % pass,
of one word 46 %, of three 1 %."""

_WIDE = 8
"""64-bit words of the signature that what remains is checked with."""

LONG = 128
"""Tokens from which on a row has a signature of :data:`_LONG_WORDS` words: two rows of 300 tokens
fill 512 bits so much that every pair of them would pass."""

_LONG_WORDS = 64

DIRECT = 192
"""Tokens from which on a row has no keys: it has thousands of them, and shares some with every
other long row."""

_RARE_WORDS = 32
"""64-bit words of the signature of the rarer half of a row's tokens."""

_HALVED = 512
"""Rows of fewer tokens are compared by half as many bits, each for two: of pairs of unlike rows of
400 tokens 1 in 400 passes."""

_DIRECT_PAIRS = 1 << 22
"""Pairs without keys that are one part."""

_COLUMNS = 1 << 16
"""Rows that are partners together: their signatures take 16 MiB."""

_PAIRS_PER_KEY = 5
"""So many of them cost what a key does."""

_NEXT = 0x9E3779B1
"""What a second occurrence of a token differs by: it is a token of its own in signatures, so that
what two rows have in common counts with repetitions."""

_MOST_BITS = 1000
"""Larger shares are as good as this one: signatures have fewer bits."""

_TOKENS = 1 << 16
"""Tokens that are sorted together; row numbers among them fit 16 bits."""


class Limits:
    """How far into a row the tokens of a key may stand, for one bound.

    Attributes:
        need: Tokens in common that two rows need, as a share of the tokens of both.
        shortest: Fewest tokens of a partner, by the length of a row.
        as_long: How many of a row's tokens can be the last of a key when its partner is not
            longer, by (depth - 1, length); ``depth`` is the number of tokens of the key.
        as_short: The same when the partner is not shorter.
    """

    def __init__(self, bound: float, longest: int) -> None:
        """Prepare for F > ``bound`` and rows of up to ``longest`` tokens."""
        ratio = max(bound - _SLACK, _SLACK)
        self.need = ratio / 2
        size = np.arange(longest + 1)
        least = np.ceil(size * (ratio / (2 - ratio)) - _SLACK)
        self.shortest: Ints = np.maximum(least, 1).astype(np.int64)
        self.as_long = self._usable(size, self.shortest)
        self.as_short = self._usable(size, size)

    def _usable(self, size: Ints, partner: Ints) -> Ints:
        shared = np.maximum(np.ceil(self.need * (size + partner) - _SLACK), 1)
        usable = [np.clip(size - shared + depth, 0, size) for depth in (1, 2)]
        return np.array(usable, np.int64)

    def reach(self, left: Ints, size: Ints | Small) -> Ints:
        """Return the most tokens of a partner that shares at most ``left`` of ``size`` tokens."""
        longest = left / self.need - size + _SLACK
        return np.minimum(longest, 1 << 30).astype(np.int64)


@dataclass(frozen=True, slots=True)
class JoinRows:
    """Rows with tokens, in order of length, and of arrival where lengths are equal.

    Attributes:
        number: Number of each row, as the caller counts.
        length: Tokens of each row, ascending.
        start: Where the prefix of each row begins in ``token``, and the end of the last.
        token: The rarest tokens of each row, rare first, as ranks; -1 - rank from the second
            occurrence on.
        row: The row of each item of ``token``.
        rest: For each item of ``token`` the signature, :data:`_WORDS` words, of all tokens from it
            on in the order, also those behind the prefix.
        wide: :data:`_WIDE` words a row.
        wide_slack: Tokens of each row beyond the bits of ``wide``.
        first_long: The first row of at least :data:`LONG` tokens.
        long: :data:`_LONG_WORDS` words of each row from that on.
        long_slack: Their tokens beyond these bits.
        first_direct: The first row of at least :data:`DIRECT` tokens; from it on rows have no
            items in ``token``.
        first_rare: The first row that can be the partner of one of these.
        rare: Shape [:data:`_RARE_WORDS`, rows from ``first_rare`` on]; signatures of the rarer half
            of the tokens.
        ranks: Number of different tokens that there are.
    """

    number: Ints
    length: Small
    start: Ints
    token: Small
    row: Small
    rest: Bits
    wide: Bits
    wide_slack: Small
    first_long: int
    long: Bits
    long_slack: Small
    first_direct: int
    first_rare: int
    rare: Bits
    ranks: int

    @classmethod
    def of(
        cls, number: Ints, length: Ints, tokens: Small, ranks: Ints, limits: Limits
    ) -> "JoinRows":
        """Prepare rows.

        Args:
            number: Number of each row; of rows of equal length the lower is the shorter one.
            length: Tokens of each row.
            tokens: Token numbers of all rows, one row after the other.
            ranks: Rank of each token, rare first.
            limits: Of the bound.
        """
        first = np.cumsum(length) - length
        order = np.argsort(length, kind="stable")
        order = order[length[order] > 0]
        size = length[order]
        first_direct = int(np.searchsorted(size, DIRECT))
        shortest = limits.shortest[size[first_direct]] if first_direct < len(size) else 1 << 40
        first_rare = int(np.searchsorted(size, shortest))
        kept = np.where(size < DIRECT, limits.as_long[1][size], 0)
        start = np.concatenate([[0], np.cumsum(kept)])
        token = np.empty(start[-1], np.int32)
        rest = np.empty((len(token), _WORDS), np.uint64)
        wide = np.empty((len(order), _WIDE), np.uint64)
        first_long = int(np.searchsorted(size, LONG))
        long = np.empty((len(order) - first_long, _LONG_WORDS), np.uint64)
        rare = np.empty((_RARE_WORDS, len(order) - first_rare), np.uint64)
        for low, high in _parts(size, _TOKENS):
            part = size[low:high]
            held = np.take(ranks, tokens[_ranges(first[order[low:high]], part)])
            row = np.repeat(np.arange(high - low), part)
            ordered = held[_order_by_row(held, row)]
            again = _occurrences(ordered, row)
            item = len(ranks) - 1 - ordered + again * _NEXT
            prefix = _ranges(np.cumsum(part) - part, kept[low:high])
            token[start[low] : start[high]] = np.where(again, -1 - ordered, ordered)[prefix]
            rest[start[low] : start[high]] = _from_each_on(_bits(item), part)[prefix]
            wide[low:high] = _signatures(row, item, high - low, _WIDE)
            if high > first_long:
                signatures = _signatures(row, item, high - low, _LONG_WORDS)
                begin = max(first_long - low, 0)
                long[low + begin - first_long : high - first_long] = signatures[begin:]
            if high > first_rare:
                half = _ranges(np.cumsum(part) - part, part - _frequent(part))
                signatures = _signatures(row[half], item[half], high - low, _RARE_WORDS)
                begin = max(first_rare - low, 0)
                rare[:, low + begin - first_rare : high - first_rare] = signatures[begin:].T
        return cls(
            number[order],
            size.astype(np.int32),
            start,
            token,
            np.repeat(np.arange(len(order), dtype=np.int32), kept),
            rest,
            wide,
            (size - _count_bits(wide)).astype(np.int32),
            first_long,
            long,
            (size[first_long:] - _count_bits(long)).astype(np.int32),
            first_direct,
            first_rare,
            rare,
            len(ranks),
        )

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys of rows, in order of the rows.

    Attributes:
        last: Index of the key's last token in ``JoinRows.token``.
        row: The row of each key.
        short_end: Where the row's tokens end that it can be found by as the shorter one.
        hash: What equal keys have in common.
    """

    last: Ints
    row: Small
    short_end: Ints
    hash: Hashes

    def only(self, chosen: Mask | Ints | slice) -> "_Keys":
        return _Keys(self.last[chosen], self.row[chosen], self.short_end[chosen], self.hash[chosen])


class TooManyPairsError(Exception):
    """More pairs than the caller allows may be similar."""


class _Pairs:
    """Pairs found so far, as ``(longer << 32) + shorter``."""

    def __init__(self, most: int) -> None:
        self._arrays: list[Ints] = []
        self._left = most

    def add(self, longer: Small, shorter: Small) -> None:
        if not len(longer):
            return
        self._left -= len(longer)
        if self._left < 0:
            raise TooManyPairsError
        self._arrays.append((longer.astype(np.int64) << 32) + shorter)

    def distinct(self) -> Ints:
        """Return all pairs, sorted, once each."""
        if not self._arrays:
            return np.empty(0, np.int64)
        pairs = np.sort(np.concatenate(self._arrays))
        fresh = np.ones(len(pairs), np.bool_)
        fresh[1:] = pairs[1:] != pairs[:-1]
        return pairs[fresh]


class Join:
    """Finds the pairs in parts that can be worked on in any order and by several threads.

    Attributes:
        parts: The parts, for :meth:`pairs`.
        costs: About how much work each part is, in keys.
    """

    def __init__(
        self, rows: JoinRows, limits: Limits, sides: Mask | None = None, most: int = 1 << 62
    ) -> None:
        """Prepare to join rows.

        Args:
            rows: The rows.
            limits: Of the bound, up to the longest row.
            sides: For each row, which of two sides it is on: only pairs of different sides are
                found. None joins every row with every other one.
            most: Pairs of one part, repeated ones counted, over which it is given up.
        """
        self._rows, self._limits, self._sides, self._most = rows, limits, sides, most
        length = rows.length
        self._low = np.searchsorted(length, limits.shortest[length]).astype(np.int32)
        longest = int(length[-1]) if len(length) else 0
        self._up_to = np.searchsorted(length, np.arange(longest + 1), "right").astype(np.int32)
        starts = rows.start[:-1]
        self._long_end = [starts + usable[length] for usable in limits.as_long]
        self._short_end = [starts + usable[length] for usable in limits.as_short]
        self._items, self._token_counts = self._grouped()
        self.parts, self.costs = self._cut()
        direct = list(self._cut_direct())
        self.parts += [(-low, -high) for low, high, _ in direct]
        self.costs += [1 + count // _PAIRS_PER_KEY for *_, count in direct]

    def _grouped(self) -> tuple[Small, Ints]:
        """Return the positions of keys' first tokens, by token, and each token's shorter rows."""
        rows = self._rows
        ends = self._long_end[0].astype(np.int32)
        use = np.arange(len(rows.token), dtype=np.int32) < np.take(ends, rows.row)
        use &= rows.token >= 0
        items = np.flatnonzero(use).astype(np.int32)
        items = items[_stable_order(rows.token[items])]
        early = items < np.take(self._short_end[0].astype(np.int32), rows.row[items])
        return items, np.bincount(rows.token[items[early]], minlength=rows.ranks)

    def _cut(self) -> tuple[list[tuple[int, int]], list[int]]:
        """Return parts of whole groups of about :data:`_KEYS` keys, and their costs."""
        rows, counts = self._rows, self._token_counts
        cost, size = np.zeros(rows.ranks), np.zeros(rows.ranks, np.int64)
        for start in range(0, len(self._items), _KEYS):
            items = self._items[start : start + _KEYS]
            token = rows.token[items]
            children = self._long_end[1][rows.row[items]] - items
            keys = np.where(counts[token] > _COMMON, children, 1 + counts[token] // 16)
            cost += np.bincount(token, keys, minlength=rows.ranks)
            size += np.bincount(token, minlength=rows.ranks)
        work: Ints = cost[size > 0].astype(np.int64)
        ends, total = np.cumsum(size)[size > 0], np.cumsum(work)
        groups = list(_parts(work, _KEYS))
        parts = [(int(ends[low - 1]) if low else 0, int(ends[high - 1])) for low, high in groups]
        costs = [int(total[high - 1] - (total[low - 1] if low else 0)) for low, high in groups]
        return parts, costs

    def pairs(self, part: tuple[int, int]) -> tuple[Ints, Ints]:
        """Return the numbers of the two rows of each pair of a part that may be similar.

        Raises:
            TooManyPairsError: For more than ``most``.
        """
        rows = self._rows
        if part[0] < 0:
            return self._direct_pairs(-part[0], -part[1])
        items = self._items[slice(*part)].astype(np.int64)
        counts = self._token_counts[rows.token[items]]
        found = _Pairs(self._most)
        common = counts > _COMMON
        # Rows so short that one token in common is enough have no key of two.
        tiny = common & (rows.length[rows.row[items]] * self._limits.need <= 1)
        self._match(self._keys(np.sort(items[~common | tiny])), 1, found)
        self._match(self._children(self._keys(np.sort(items[common]))), 2, found)
        pairs = found.distinct()
        return rows.number[pairs >> 32], rows.number[pairs & _LOW_HALF]

    def _cut_direct(self) -> Iterator[tuple[int, int, int]]:
        """Yield ranges of the rows without keys, counted from 1, and how many pairs they have."""
        first = self._rows.first_direct
        count = np.arange(first, len(self._rows)) - self._low[first:]
        for low, high in _parts(count, _DIRECT_PAIRS):
            yield first + low + 1, first + high + 1, int(count[low:high].sum())

    def _direct_pairs(self, low: int, high: int) -> tuple[Ints, Ints]:
        """Return what :meth:`pairs` does for the rows from ``low`` to ``high``, counted from 1."""
        rows, found = self._rows, _Pairs(self._most)
        ours = np.arange(low - 1, high - 1)
        for start in range(int(self._low[low - 1]), high - 1, _COLUMNS):
            theirs = np.arange(start, min(start + _COLUMNS, high - 1))
            if self._sides is None:
                self._compare(ours, theirs, found)
                continue
            for side in (False, True):
                own, other = self._sides[ours] == side, self._sides[theirs] != side
                self._compare(ours[own], theirs[other], found)
        pairs = found.distinct()
        return rows.number[pairs >> 32], rows.number[pairs & _LOW_HALF]

    def _compare(self, longer: Ints, shorter: Ints, found: _Pairs) -> None:
        """Add the pairs of each of ``longer`` with those of ``shorter`` before it.

        At most as many of the tokens that two rows share as the longer one has in its frequent half
        are not among the rarer ones of both. Bounds are in eighths, see :meth:`_needs`.
        """
        if not len(longer):
            return
        halved = bool(self._rows.length[longer[-1]] < _HALVED)
        words, share = self._rarer(shorter, halved)
        theirs = _eighths_of(share)
        own_words, share = self._rarer(longer, halved)
        ours = _eighths_of(share - _frequent(self._rows.length[longer]))
        step = max(1, _BLOCK // max(1, len(shorter)))
        for start in range(0, len(longer), step):
            some = longer[start : start + step]
            common = np.zeros((len(some), len(shorter)), np.int16)
            for word, own in zip(words, own_words[:, start : start + step], strict=True):
                common += np.bitwise_count(own[:, None] & word)
            common <<= 3
            fits = common >= ours[start : start + step, None] + theirs
            chosen = np.flatnonzero(fits)
            first_of, second_of = some[chosen // len(shorter)], shorter[chosen % len(shorter)]
            inside = (second_of < first_of) & (second_of >= self._low[first_of])
            self._check(
                first_of[inside].astype(np.int32), second_of[inside].astype(np.int32), found
            )

    def _rarer(self, numbers: Ints, halved: bool) -> tuple[Bits, npt.NDArray[np.float64]]:
        """Return the signatures of rows' rarer tokens, and the rows' shares of the bits needed."""
        rows = self._rows
        words = rows.rare[:, numbers - rows.first_rare]
        if halved:
            words = words[: len(words) // 2] | words[len(words) // 2 :]
        length = rows.length[numbers]
        bits = np.bitwise_count(words).sum(axis=0, dtype=np.int64)
        slack = length - _frequent(length) - bits
        return words, self._limits.need * length - _SLACK - slack / 2

    def _keys(self, last: Ints) -> _Keys:
        rows = self._rows
        row = np.take(rows.row, last)
        hashes = _mixed(np.zeros(len(last), np.uint32), np.take(rows.token, last))
        return _Keys(last, row, np.take(self._short_end[0], row), hashes)

    def _children(self, keys: _Keys) -> _Keys:
        """Return the keys of two tokens that begin with ``keys``."""
        count = np.maximum(np.take(self._long_end[1], keys.row) - keys.last - 1, 0)
        last = _ranges(keys.last + 1, count)
        token = np.take(self._rows.token, last)
        children = _Keys(
            last,
            np.repeat(keys.row, count),
            np.repeat(np.take(self._short_end[1], keys.row), count),
            _mixed(np.repeat(keys.hash, count), token),
        )
        repeated = np.flatnonzero(token < 0)
        if not len(repeated):
            return children
        # A token's second occurrence can only follow its first.
        valid = np.ones(len(token), np.bool_)
        valid[repeated] = last[repeated] == np.repeat(keys.last, count)[repeated] + 1
        return children.only(valid)

    def _match(self, keys: _Keys, depth: int, found: _Pairs) -> None:
        """Add pairs of rows with the same key.

        Those that a row can be the shorter one of are neighbours in the order of slot and row.
        """
        keys = self._in_slots(keys)
        early = np.flatnonzero(keys.last < keys.short_end)
        place = _places(keys, keys.row)
        shorter = keys.only(early)
        high = np.searchsorted(place, _places(shorter, self._partners_end(shorter, depth)))
        if self._sides is None:
            self._list(shorter, early + 1, high, keys, depth, found)
            return
        side = self._sides[keys.row]
        for ours in (side, ~side):
            before = np.concatenate([[0], np.cumsum(ours)])
            theirs = ~ours[early]
            low, until = before[early[theirs] + 1], before[high[theirs]]
            self._list(shorter.only(theirs), low, until, keys.only(ours), depth, found)

    def _in_slots(self, keys: _Keys) -> _Keys:
        """Return the keys in order of their slot, and of the row within; those alone are left out.

        ``hash`` is the slot afterwards.
        """
        slot, size = _slots(keys)
        shared = np.flatnonzero(np.take(size, slot) > 1)
        slot = slot[shared]
        order = _stable_order(slot)
        keys = keys.only(shared[order])
        return _Keys(keys.last, keys.row, keys.short_end, slot[order])

    def _list(
        self, shorter: _Keys, low: Ints, high: Ints, longer: _Keys, depth: int, found: _Pairs
    ) -> None:
        """Add pairs of each of ``shorter`` with those of ``longer`` from ``low`` to ``high``."""
        some = np.flatnonzero(high > low)
        shorter, low, high = shorter.only(some), low[some], high[some]
        ours, theirs = self._needs(shorter, depth), self._needs(longer, depth)
        below = self._longest_partner(longer, depth)
        crowded = high - low >= _CROWDED

        few = _few_each(np.flatnonzero(~crowded), low, high, ours, theirs)
        many = _many_each(np.flatnonzero(crowded), low, high, shorter.hash, ours, theirs)
        for which, position in _gathered(chain(few, many)):
            rows = np.take(shorter.row, which)
            fits = np.flatnonzero(np.take(below, position) > rows)
            self._check(np.take(longer.row, position[fits]), rows[fits], found)

    def _needs(self, keys: _Keys, depth: int) -> _Needs:
        """Return the signatures that the partners of each key are compared by.

        The tokens of the key are the rarest that both rows have in common, so that all others
        stand behind it. The second array is what each row contributes to the bits that two rows
        must share, in eighths, rounded down: of tokens beyond the bits of both rows the mean
        bounds the lesser number.
        """
        bits = np.take(self._rows.rest, keys.last, axis=0)
        length = np.take(self._rows.length, keys.row)
        left = length - (keys.last - np.take(self._rows.start, keys.row))
        least = self._limits.need * length - (depth - 1) / 2 - _SLACK
        return bits, _eighths_of(least - (left - _count_two(bits)) / 2)

    def _longest_partner(self, keys: _Keys, depth: int) -> Small:
        """Return the row before which the partners of each key end, by length."""
        below = keys.row.copy()
        late = np.flatnonzero(keys.last >= keys.short_end)
        reach = self._reach(keys.last[late], keys.row[late], depth)
        below[late] = np.minimum(below[late], np.take(self._up_to, reach))
        return below

    def _partners_end(self, shorter: _Keys, depth: int) -> Small:
        """Return the row before which those end that each key can be the shorter one of."""
        return np.take(self._up_to, self._reach(shorter.last, shorter.row, depth))

    def _reach(self, last: Ints, row: Small, depth: int) -> Ints:
        length = np.take(self._rows.length, row)
        left = length - (last - np.take(self._rows.start, row)) + depth - 1
        return np.minimum(self._limits.reach(left, length), len(self._up_to) - 1)

    def _check(self, longer: Small, shorter: Small, found: _Pairs) -> None:
        """Add the pairs whose signatures allow the overlap."""
        rows = self._rows
        tokens = np.take(rows.length, longer) + np.take(rows.length, shorter)
        need = tokens * self._limits.need - _SLACK
        wide = np.take(rows.wide, longer, axis=0)
        wide &= np.take(rows.wide, shorter, axis=0)
        slack = np.minimum(np.take(rows.wide_slack, longer), np.take(rows.wide_slack, shorter))
        slack += _count_eight(wide)
        some = np.flatnonzero(slack >= need)
        longer, shorter, need = longer[some], shorter[some], need[some]
        if len(shorter) and shorter.max() >= rows.first_long:
            some = np.flatnonzero(self._long_overlap(longer, shorter) >= need)
            longer, shorter = longer[some], shorter[some]
        found.add(longer, shorter)

    def _long_overlap(self, longer: Small, shorter: Small) -> Ints:
        """Return a bound of the tokens in common where both rows are long, else more than any."""
        rows = self._rows
        overlap = np.full(len(shorter), 1 << 40, np.int64)
        both = np.flatnonzero(shorter >= rows.first_long)
        first, second = longer[both] - rows.first_long, shorter[both] - rows.first_long
        overlap[both] = _count_bits(np.take(rows.long, first, axis=0) & rows.long[second])
        overlap[both] += np.minimum(rows.long_slack[first], rows.long_slack[second])
        return overlap


def _gathered(parts: Iterable[tuple[Ints, Ints]]) -> Iterator[tuple[Ints, Ints]]:
    """Yield pairs of arrays, small ones joined."""
    waiting: list[tuple[Ints, Ints]] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part[0])
        if count > _PAIRS:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    first, second = (np.concatenate(side) for side in zip(*parts, strict=True))
    return first, second


def _few_each(
    keys: Ints, low: Ints, high: Ints, ours: _Needs, theirs: _Needs
) -> Iterator[tuple[Ints, Ints]]:
    """Yield (key, position of a partner) where the signatures behind the key allow the overlap.

    Args:
        keys: Which keys.
        low: The first partner of each key.
        high: The end of its partners.
        ours: Needs of the keys.
        theirs: Needs of the partners.
    """
    bits, share = ours
    count = high[keys] - low[keys]
    for start, stop in _parts(count, _PAIRS):
        some, times = keys[start:stop], count[start:stop]
        position = _ranges(low[some], times)
        common = np.take(theirs[0], position, axis=0)
        common &= np.repeat(bits[some], times, axis=0)
        least = np.take(theirs[1], position)
        least += np.repeat(share[some], times)
        chosen = np.flatnonzero(_eighths(common) >= least)
        which = np.searchsorted(np.cumsum(times), chosen, "right")
        yield np.take(some, which), np.take(position, chosen)


def _many_each(
    keys: Ints, low: Ints, high: Ints, slot: Hashes, ours: _Needs, theirs: _Needs
) -> Iterator[tuple[Ints, Ints]]:
    """Yield what :func:`_few_each` does; neighbours of one slot share most of their partners."""
    bits, share = ours
    words = np.ascontiguousarray(theirs[0].T)
    for start, stop in _runs(slot[keys]):
        first, at = int(low[keys[start]]), start
        rows = max(1, _BLOCK // int(high[keys[stop - 1]] - first))
        while at < stop:
            some = keys[at : min(at + rows, stop)]
            first, end = int(low[some[0]]), int(high[some].max())
            common = np.bitwise_count(bits[some, 0, None] & words[0, first:end])
            common += np.bitwise_count(bits[some, 1, None] & words[1, first:end])
            least = share[some, None] + theirs[1][first:end]
            chosen = np.flatnonzero(np.left_shift(common, 3, dtype=np.int16) >= least)
            which, position = some[chosen // (end - first)], chosen % (end - first) + first
            inside = (position >= low[which]) & (position < high[which])
            yield which[inside], position[inside]
            at += len(some)


def _frequent(length: Ints | Small) -> Ints:
    """Return how many of the most frequent tokens a row's signature of rare ones leaves out."""
    return length.astype(np.int64) // 2


def _eighths_of(share: npt.NDArray[np.float64]) -> Shares:
    """Return shares of bits in eighths, rounded down; those of more than all bits are cut."""
    return np.floor(8 * np.clip(share, -_MOST_BITS, _MOST_BITS)).astype(np.int16)


def _eighths(signatures: Bits) -> Shares:
    """Return eight times the number of bits of signatures of two words."""
    return _count_two(signatures) << np.int16(3)


def _count_two(signatures: Bits) -> Shares:
    """Return the number of bits of signatures of two words."""
    counts = np.bitwise_count(signatures).view(np.uint16)[:, 0]
    counts *= np.uint16(257)  # The upper byte becomes the sum of both.
    counts >>= np.uint16(8)
    return counts.view(np.int16)


def _count_eight(signatures: Bits) -> Small:
    """Return the number of bits of signatures of eight words."""
    bytes_ = np.bitwise_count(signatures).view(np.uint64)[:, 0]
    low = np.uint64(0x00FF00FF00FF00FF)
    counts = (bytes_ & low) + ((bytes_ >> np.uint64(8)) & low)
    return ((counts * np.uint64(0x0001000100010001)) >> np.uint64(48)).astype(np.int32)


def _slots(keys: _Keys) -> tuple[Hashes, Ints]:
    """Return the slot of each key, by the upper bits of its hash, and the keys of each slot."""
    bits = min(max(len(keys.row).bit_length(), 8), 32)
    slot = keys.hash >> np.uint32(32 - bits)
    return slot, np.bincount(slot, minlength=1 << bits)


def _places(keys: _Keys, rows: Small) -> Ints:
    """Return for each key a number that orders by slot first, by ``rows`` second."""
    return (keys.hash.astype(np.int64) << 32) | rows


def _order_by_row(rank: Ints, row: Ints) -> Ints:
    """Return the order of tokens by row, and by rank within."""
    order = _stable_order(rank)
    return order[_stable_order(row[order])]


def _occurrences(rank: Ints, row: Ints) -> Ints:
    """Return how often each ordered rank stands before it in its row."""
    position = np.arange(len(rank))
    first = np.ones(len(rank), np.bool_)
    first[1:] = (rank[1:] != rank[:-1]) | (row[1:] != row[:-1])
    before: Ints = position - np.maximum.accumulate(np.where(first, position, 0))
    return before


def _bits(bit: Ints) -> Bits:
    """Return a signature with one bit for each number."""
    position = bit % (64 * _WORDS)
    held = np.uint64(1) << (position % 64).astype(np.uint64)
    words = [np.where(position // 64 == word, held, np.uint64(0)) for word in range(_WORDS)]
    return np.stack(words, axis=1)


def _from_each_on(bits: Bits, size: Ints) -> Bits:
    """Return for each item the bits of it and of all behind it in its row; changes ``bits``.

    Rows of one length are worked on together: ``size`` has them side by side.
    """
    ends = np.concatenate([[0], np.cumsum(size)])
    for low, high in _runs(size):
        some = bits[ends[low] : ends[high]].reshape(high - low, int(size[low]), _WORDS)[:, ::-1]
        np.bitwise_or.accumulate(some, axis=1, out=some)
    return bits


def _signatures(row: Ints, bit: Ints, rows: int, words: int) -> Bits:
    held = np.zeros((rows, 64 * words), np.bool_)
    held[row, bit % (64 * words)] = True
    packed: Bits = np.packbits(held, axis=1, bitorder="little").view(np.uint64)
    return packed


def _count_bits(signatures: Bits) -> Ints:
    counts: Ints = np.bitwise_count(signatures).sum(axis=1, dtype=np.int64)
    return counts


def _mixed(base: Hashes, token: Small) -> Hashes:
    """Return a hash of each base and token; the constants are those of murmur3 and xxhash."""
    mixed = token.astype(np.uint32)
    mixed += np.uint32(0x9E3779B9)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(15)
    mixed ^= base
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0x27D4EB2F)
    return mixed


def _stable_order(values: npt.NDArray[np.integer]) -> Ints:
    """Return the stable order of numbers in [0, 2^32), by counting 16 bits at a time."""
    order: Ints = np.argsort(values.astype(np.uint16), kind="stable")
    high = (values >> 16).astype(np.uint16)
    if high.any():
        order = order[np.argsort(high[order], kind="stable")]
    return order


def _ranges(first: Ints, count: Ints) -> Ints:
    """Return ``count[k]`` numbers from ``first[k]`` on, one range after the other."""
    offset = first - (np.cumsum(count) - count)
    numbers: Ints = np.repeat(offset, count) + np.arange(int(count.sum()))
    return numbers


def _parts(count: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges whose counts add up to at most ``most``; one item alone may have more."""
    ends = np.cumsum(count)
    low = 0
    while low < len(ends):
        done = int(ends[low - 1]) if low else 0
        high = max(int(np.searchsorted(ends, done + most, "right")), low + 1)
        yield low, high
        low = high


def _runs(values: npt.NDArray[np.integer]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of equal neighbours."""
    if not len(values):
        return
    ends = [*(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    yield from zip([0, *ends[:-1]], ends, strict=True)
