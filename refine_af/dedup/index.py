"""A growing pool of texts that finds every near-duplicate by ROUGE-L, exactly."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from refine_af.contracts.errors import ParameterError
from refine_af.dedup.bulk import BulkDecisions, Report, Steps
from refine_af.dedup.join import LONG
from refine_af.dedup.memory import compared_bytes, held_bytes, require_memory
from refine_af.dedup.pool import EncodedPool
from refine_af.dedup.prefixes import LengthBounds, Postings, Prefixes, distinct
from refine_af.dedup.rouge_l import Tokens
from refine_af.dedup.scores import (
    exceeding,
    f_measures,
    likely_by_full_comparison,
    overlaps_with_all,
)
from refine_af.dedup.vocabulary import CODE_POINTS, WORDS, Bits, Encoded, Ints, Vocabulary

_BLOCK = 1024
"""Rows decided together: enough to spread the cost of numpy calls, few enough for the memory of
a block of equal rows (half a million pairs)."""

_TAIL = 256
"""Newest rows that are compared individually instead of being indexed, while rows come singly."""

_FEW = 16
"""Up to so many rows, looking at the whole tail is cheaper than indexing it."""

_SMALL = 60_000
"""Arrays of fewer postings are joined at every indexing: one array less to look into takes a fifth
off the time of a row that comes alone."""

_SCAN = 16_384
"""A row that comes alone is compared by signature with every row of a pool of up to this size: that
takes 4 nanoseconds a row, looking into the index some 150 microseconds."""

_CROWDED = 2
"""With so many postings per stored row, comparing with every row is cheaper: few different
tokens, as when characters are the tokens."""

_BULK = 32_768
"""Rows from which on deciding them together is faster than block by block, whatever they are."""

_POOL_PER_ROW = 50
"""Largest ratio of pool rows to offered rows: a bulk decision prepares the whole pool anew."""

Admit = Callable[[int], bool]
"""Whether a row that repeats no wording joins the pool; see :meth:`RougeLIndex.offer_all`."""

_Best = tuple[int, float]
"""Index and score of a neighbour; the score is 0 if there is no neighbour."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The first pool member with the largest ROUGE-L F1 to a text; ``score`` in [0, 1]."""

    id: str
    score: float


class _Joined:
    """Which rows of a block join the pool, settled in order."""

    def __init__(self, count: int, start: int, admit: Admit | None) -> None:
        self.rows = np.zeros(count, np.bool_)
        self._start = start
        self._admit = admit
        self._settled = 0

    def settle(self, until: int, best: list[_Best]) -> None:
        """Settle the rows before ``until``; their neighbours are final."""
        for row in range(self._settled, until):
            free = best[row][1] == 0
            self.rows[row] = free and (self._admit is None or self._admit(self._start + row))
        self._settled = max(self._settled, until)


class RougeLIndex:
    """Decides as the Self-Instruct filter does, without comparing with every pool member.

    A row is a near-duplicate when its largest F1 against the pool is strictly greater than the
    bound; first arrival wins, and every kept row joins the pool before the next one is judged.
    Decisions, neighbours and scores equal those of the full comparison with ``rouge_score``: the
    index only leaves out rows that cannot exceed the bound (see :mod:`refine_af.dedup.prefixes`),
    and what remains is scored with the reference's own float formula.

    Rows without a token (see :data:`refine_af.dedup.rouge_l.Tokens`) score 0 against everything,
    so they are always kept; ``tokenless`` counts those that were offered.
    """

    def __init__(
        self, bound: float = 0.7, tokens: Tokens = "rouge", code_points: int = CODE_POINTS
    ) -> None:
        """Start an empty pool; ``code_points`` is lower only in tests."""
        if not 0 <= bound <= 1:
            raise ParameterError(f"the ROUGE-L bound is {bound!r}; it must be in [0, 1]")
        self.bound = bound
        self.tokenless = 0
        self._tokens = tokens
        self._vocabulary = Vocabulary(tokens, code_points)
        self._lengths = LengthBounds(bound)
        self._ids: list[str] = []
        self._pool = EncodedPool()
        self._order: Ints = np.empty(0, np.int64)
        self._ordered_rows = 0
        self._postings: list[Postings] = []
        self._indexed = 0

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, row_id: str, text: str) -> None:
        """Put a text into the pool whatever it resembles (seeds)."""
        self.add_all([(row_id, text)])

    def add_all(self, rows: Sequence[tuple[str, str]]) -> None:
        """Put (id, text) rows into the pool whatever they resemble."""
        self._pool.extend(self._vocabulary.encode([text for _, text in rows]))
        self._ids += [row_id for row_id, _ in rows]

    def offer(self, row_id: str, text: str) -> Neighbour | None:
        """Return the neighbour that makes ``text`` a near-duplicate; None: it joined the pool."""
        return self.offer_all([(row_id, text)])[0]

    def offer_all(
        self, rows: Sequence[tuple[str, str]], admit: Admit | None = None
    ) -> list[Neighbour | None]:
        """Return for each (id, text) row, in order, what :meth:`offer` would, several times faster.

        Rows of one call see the rows that were kept before them in the same call.

        Args:
            rows: What is offered.
            admit: Called in order with the index in ``rows`` of each row without a neighbour; a row
                for which it returns False does not join the pool. Its verdict is still None.
        """
        if admit is None and self._pays_in_bulk(len(rows)):
            for start in range(0, len(rows), _BLOCK):
                self.add_all(rows[start : start + _BLOCK])
            return self.decide(len(rows))
        verdicts: list[Neighbour | None] = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            asked = self._vocabulary.encode([text for _, text in block])
            verdicts += self._offer_block([row_id for row_id, _ in block], asked, start, admit)
        return verdicts

    def _pays_in_bulk(self, count: int) -> bool:
        # Characters are so few that every row shares keys with every other one.
        enough = count >= max(_BULK, len(self) // _POOL_PER_ROW)
        return enough and self._tokens != "characters"

    def decide(
        self, count: int, *, steps: Steps | None = None, report: Report | None = None
    ) -> list[Neighbour | None]:
        """Decide the ``count`` rows that were added last, as if they had been offered.

        Uses all cores where there are many rows.

        Args:
            count: Rows to decide.
            steps: Keeps results of parts across kills.
            report: Receives the share of the work that is done.

        Raises:
            DataError: When the rows cannot be compared within the memory that is available.
        """
        start = len(self) - count
        if not self._pays_in_bulk(count):
            return self._decide_by_blocks(start)
        require_memory(len(self), self.bytes_to_compare(len(self)))
        self.tokenless += int(np.count_nonzero(self._pool.lengths[start:] == 0))
        decisions = BulkDecisions(
            self._pool, start, self.bound, self._vocabulary.overflows, steps=steps, report=report
        )
        decisions.run()
        nearest, score = decisions.nearest[start:].tolist(), decisions.score[start:].tolist()
        verdicts = [
            Neighbour(self._ids[row], value) if row >= 0 else None
            for row, value in zip(nearest, score, strict=True)
        ]
        kept = decisions.nearest < 0
        self._pool.keep(kept)
        self._ids = list(compress(self._ids, kept.tolist()))
        return verdicts

    def bytes_to_compare(self, rows: int) -> float:
        """Return the memory, beyond that in use, to compare ``rows`` rows like those held."""
        lengths, scale = self._pool.lengths, rows / max(len(self), 1)
        long_rows = scale * np.count_nonzero(lengths >= LONG)
        needed = compared_bytes(rows, scale * self._pool.tokens, long_rows)
        return needed - held_bytes(len(self), self._pool.tokens)

    def over_bound(self, texts: Sequence[str]) -> list[Neighbour | None]:
        """Return each text's nearest pool member over the bound, or None; adds nothing."""
        neighbours: list[Neighbour | None] = []
        if not self._scans(len(texts)):
            self._index_tail()
        for start in range(0, len(texts), _BLOCK):
            asked = self._vocabulary.encode(texts[start : start + _BLOCK])
            neighbours += [
                Neighbour(self._ids[index], score) if score > 0 else None
                for index, score in self._best_of_pool(asked, self._entries(asked))
            ]
        return neighbours

    def nearest(self, text: str) -> Neighbour | None:
        """Return the nearest pool member at any score; None only for an empty pool."""
        return next(iter(self.nearest_rows(text, 1)), None)

    def nearest_rows(self, text: str, count: int) -> list[Neighbour]:
        """Return the ``count`` nearest pool members at any score, best first; ties go by arrival.

        Compares with the whole pool: about 0.1 microseconds per member of 25 tokens.
        """
        if not self._ids:
            return []
        asked = self._vocabulary.encode([text])
        lcs = overlaps_with_all(asked, self._pool, self._vocabulary.overflows)
        scores = f_measures(lcs, asked.lengths, self._pool.lengths)
        best = np.argsort(-scores, kind="stable")[:count]
        return [Neighbour(self._ids[index], float(scores[index])) for index in best.tolist()]

    def _decide_by_blocks(self, start: int) -> list[Neighbour | None]:
        ids = self._ids[start:]
        borders = range(start, len(self), _BLOCK)
        blocks = [self._pool.encoded(low, min(low + _BLOCK, len(self))) for low in borders]
        self._pool.keep(np.arange(len(self)) < start)
        del self._ids[start:]
        verdicts: list[Neighbour | None] = []
        for block in blocks:
            done = len(verdicts)
            verdicts += self._offer_block(ids[done : done + len(block)], block, done, None)
        return verdicts

    def _offer_block(
        self, ids: Sequence[str], asked: Encoded, start: int, admit: Admit | None
    ) -> list[Neighbour | None]:
        self.tokenless += int(np.count_nonzero(asked.lengths == 0))
        tail = len(self) - self._indexed
        if not self._scans(len(asked)) and (len(asked) > _FEW or tail >= _TAIL):
            self._index_tail()
        joined = _Joined(len(asked), start, admit)
        best = self._best(asked, joined)
        kept = joined.rows
        verdicts = [
            None if score == 0 else Neighbour(self._id(index, ids), score) for index, score in best
        ]
        self._pool.extend(asked.only(kept))
        self._ids += compress(ids, kept.tolist())
        return verdicts

    def _id(self, index: int, ids: Sequence[str]) -> str:
        within = index - len(self)
        return self._ids[index] if within < 0 else ids[within]

    def _scans(self, rows: int) -> bool:
        """Return whether so many rows are compared with the whole pool, without its index."""
        return rows == 1 and len(self) <= _SCAN

    def _entries(self, asked: Encoded) -> Prefixes | None:
        """Return the entries to look up; None where nothing is."""
        if self._scans(len(asked)):
            return None
        return self._lengths.prefixes(self._keys(asked.numbers), asked.lengths)

    def _best_of_pool(self, asked: Encoded, entries: Prefixes | None) -> list[_Best]:
        best: list[_Best] = [(0, 0.0)] * len(asked)
        pairs = self._scan(asked) if entries is None else self._pairs_with_pool(asked, entries)
        for new, old in pairs:
            for row, index, score in self._exceeding(new, old, asked, self._pool):
                best[row] = _nearer(best[row], (index, score))
        return best

    def _best(self, asked: Encoded, joined: "_Joined") -> list[_Best]:
        """Return each row's nearest row over the bound, in the pool or joined before it.

        Indices from ``len(self)`` on refer to rows of ``asked``.
        """
        entries = self._entries(asked)
        best = self._best_of_pool(asked, entries)
        if entries is not None and len(asked) > 1:
            free = np.array([score == 0 for _, score in best])
            for new, old in self._pairs_within(asked, entries, free):
                for row, earlier, score in self._exceeding(new, old, asked, asked):
                    # Rows ascend, so what becomes of the earlier ones can be settled now.
                    joined.settle(row, best)
                    if joined.rows[earlier]:
                        best[row] = _nearer(best[row], (len(self) + earlier, score))
        joined.settle(len(asked), best)
        return best

    def _exceeding(
        self, new: Ints, old: Ints, asked: Encoded, stored: Encoded | EncodedPool
    ) -> Iterator[tuple[int, int, float]]:
        overflows = self._vocabulary.overflows
        return zip(*exceeding(new, old, asked, stored, self.bound, overflows), strict=True)

    def _scan(self, asked: Encoded) -> Iterator[tuple[Ints, Ints]]:
        """Yield the pairs of one row with those pool rows whose signatures allow the overlap."""
        shared = np.minimum(self._pool.doubled, asked.doubled[0])
        for word in range(WORDS):
            shared += np.bitwise_count(self._pool.signatures[:, word] & asked.signatures[0, word])
        size = int(asked.lengths[0])
        old = np.flatnonzero(self._lengths.possible(self._pool.lengths + size, shared))
        if size:
            yield np.zeros_like(old), old

    def _pairs_with_pool(self, asked: Encoded, entries: Prefixes) -> Iterator[tuple[Ints, Ints]]:
        """Yield (asked row, pool row) pairs that may exceed the bound."""
        for postings in self._postings:
            yield from self._pairs(asked, entries, postings, self._pool)
        if self._indexed == len(self):
            return
        tail = np.arange(self._indexed, len(self))
        some = np.flatnonzero(asked.lengths)
        yield self._likely(np.repeat(some, len(tail)), np.tile(tail, len(some)), asked, self._pool)

    def _pairs_within(
        self, asked: Encoded, entries: Prefixes, free: npt.NDArray[np.bool_]
    ) -> Iterator[tuple[Ints, Ints]]:
        """Yield (row, earlier row) pairs of one block, rows ascending, the earlier one free."""
        postings = Postings.of(entries.only(free), range(len(asked)))
        pairs = list(self._pairs(asked, entries, postings, asked))
        if not pairs:
            return
        new, old = (np.concatenate(side) for side in zip(*pairs, strict=True))
        earlier = (old < new) & free[old]
        yield distinct(new[earlier], old[earlier])

    def _pairs(
        self, asked: Encoded, entries: Prefixes, postings: Postings, stored: Encoded | EncodedPool
    ) -> Iterator[tuple[Ints, Ints]]:
        """Yield (asked row, stored row) pairs that may exceed the bound."""
        lookup = postings.lookup(entries, self._lengths.shortest(entries.size))
        if not lookup.counts.any():
            return
        crowded = lookup.totals(len(asked)) > _CROWDED * len(postings.rows)
        for new, old in lookup.pairs(~crowded):
            yield self._likely(new, old, asked, stored)
        if crowded.any():
            yield from likely_by_full_comparison(
                np.flatnonzero(crowded), postings.rows, asked, stored, self.bound
            )

    def _likely(
        self, new: Ints, old: Ints, asked: Encoded, stored: Encoded | EncodedPool
    ) -> tuple[Ints, Ints]:
        """Return the pairs, once each and sorted, whose signatures allow the overlap."""
        shared = np.minimum(asked.doubled[new], stored.doubled[old])
        shared += _common_bits(asked.signatures, new, stored.signatures, old)
        tokens = asked.lengths[new]
        tokens += stored.lengths[old]
        some = self._lengths.possible(tokens, shared)
        return distinct(new[some], old[some])

    def _keys(self, numbers: Ints) -> Ints:
        """Return each token's rank: new tokens first, then rare before frequent."""
        keys = -1 - numbers
        known = numbers < len(self._order)
        keys[known] = self._order[numbers[known]]
        return keys

    def _index_tail(self) -> None:
        """Index the rows that are not yet; order tokens anew whenever the pool has doubled."""
        if self._indexed == len(self):
            return
        if len(self) >= 2 * self._ordered_rows:
            self._order_tokens()
        start, stop = self._indexed, len(self)
        keys = self._keys(self._pool.numbers(start, stop))
        entries = self._lengths.prefixes(keys, self._pool.lengths[start:stop])
        newest = Postings.of(entries, range(start, stop))
        # One array of at most _SMALL, and before it arrays whose sizes at least double: a handful
        # in all, and an entry that has left the small one is copied a logarithmic number of times.
        while self._postings and len(self._postings[-1]) < max(_SMALL, 2 * len(newest)):
            newest = self._postings.pop().merged(newest)
        self._postings.append(newest)
        self._indexed = stop

    def _order_tokens(self) -> None:
        """Order tokens by frequency in the pool; all rows must be indexed again."""
        counts = np.bincount(self._pool.numbers(0, len(self)), minlength=len(self._vocabulary))
        self._order = np.empty(len(counts), np.int64)
        self._order[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        self._ordered_rows = len(self)
        self._postings = []
        self._indexed = 0


def _common_bits(ours: Bits, new: Ints, theirs: Bits, old: Ints) -> npt.NDArray[np.uint8]:
    """Return the number of bits that both rows of each pair have set, at most ``64 WORDS``.

    Going word by word takes half the time of whole rows: an axis this short is slow to sum.
    """
    common: npt.NDArray[np.uint8] = np.bitwise_count(ours[:, 0][new] & theirs[:, 0][old])
    for word in range(1, WORDS):
        common += np.bitwise_count(ours[:, word][new] & theirs[:, word][old])
    return common


def _nearer(first: _Best, second: _Best) -> _Best:
    """Return the neighbour with the larger score, of equal scores the one with the lower index."""
    return min(first, second, key=lambda best: (-best[1], best[0]))
