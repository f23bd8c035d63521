"""Decides many rows at once, with the outcome of deciding one after the other.

Which rows may be similar does not depend on the decisions, so all candidate pairs are found first
(:mod:`refine_af.dedup.join`), on all cores; then one pass in order of arrival decides. Where rows
repeat each other so much that the pairs grow out of hand, the first half is decided before the
second, so that only kept rows are compared with.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Protocol

import numpy as np

from refine_af.dedup.join import Join, JoinRows, Limits, TooManyPairsError
from refine_af.dedup.pool import EncodedPool
from refine_af.dedup.scores import Floats, exceeding
from refine_af.dedup.vocabulary import Ints

_PAIRS_PER_ROW = 8
_FEWEST_PAIRS = 20_000
"""Together the pairs that a join may give before it is split in two."""

_LEAF = 256
"""So few rows are joined whatever comes out: at most 32,640 pairs."""


class Steps(Protocol):
    """Keeps the results of parts across kills, as ``refine_af.contracts.stage.Journal`` does."""

    def read(self, name: str) -> bytes | None:
        """Return what was published under ``name``, or None."""

    def publish(self, name: str, data: bytes) -> None:
        """Store ``data`` under ``name``."""


Report = Callable[[float, bool], None]
"""Receives the share of the work that is done, in [0, 1], and whether this run has done it."""

_Scored = tuple[Ints, Ints, Floats]
"""Later row, earlier row and F1 of pairs over the bound."""

_ANY = 1 << 62


class BulkDecisions:
    """Decides the rows of a pool from ``start`` on, against those before and each other.

    Attributes:
        nearest: For each row of the pool the number of the first row with the largest F1 over the
            bound, among the pool and kept rows before it; -1 for rows that are kept.
        score: That F1; 0 for rows that are kept.
    """

    def __init__(
        self,
        pool: EncodedPool,
        start: int,
        bound: float,
        recheck: bool,
        *,
        steps: Steps | None = None,
        report: Report | None = None,
    ) -> None:
        """Prepare; :meth:`run` decides.

        Args:
            pool: Rows that are taken already, then those to decide.
            start: The first row to decide.
            bound: A larger F1 makes a row a near-duplicate.
            recheck: See :func:`refine_af.dedup.scores.exceeding`.
            steps: Keeps results across kills.
            report: Receives progress.
        """
        self._pool, self._start, self._bound, self._recheck = pool, start, bound, recheck
        self._steps, self._report = steps, report
        self._limits = Limits(bound, int(pool.lengths.max(initial=0)))
        self._ranks = self._rank_tokens()
        self._lock = Lock()
        self._joins = 0
        self._done = -1.0
        self.nearest: Ints = np.full(len(pool), -1, np.int64)
        self.score: Floats = np.zeros(len(pool))

    def run(self) -> None:
        """Decide all rows."""
        old, new = np.arange(self._start), np.arange(self._start, len(self._pool))
        if len(old):
            self._apply(self._similar(old, new, _ANY))
        self._settle(self._start, len(self._pool))

    def _rank_tokens(self) -> Ints:
        counts = self._pool.token_counts()
        ranks = np.empty(len(counts), np.int64)
        ranks[np.argsort(counts, kind="stable")] = np.arange(len(counts))
        return ranks

    def _settle(self, low: int, high: int) -> None:
        """Decide the rows from ``low`` to ``high``; the rows kept before them are accounted for."""
        rows = np.arange(low, high)
        free = self.score[low:high] == 0
        most = _FEWEST_PAIRS + _PAIRS_PER_ROW * len(rows) if len(rows) > _LEAF else _ANY
        try:
            scored = self._similar(rows[free], None, most)
            scored += self._similar(rows[free], rows[~free], most)
        except TooManyPairsError:
            middle = (low + high) // 2
            self._settle(low, middle)
            kept = low + np.flatnonzero(self.score[low:middle] == 0)
            self._apply(self._similar(kept, np.arange(middle, high), _ANY))
            self._settle(middle, high)
            return
        self._apply(scored)

    def _similar(self, rows: Ints, others: Ints | None, most: int) -> list[_Scored]:
        """Return the pairs over the bound of ``rows`` with each other, or with ``others``."""
        self._joins += 1
        if not len(rows) or (others is not None and not len(others)):
            return []
        join = self._join(rows, others, most)
        if others is None:
            self._advance(int(rows[0]), True)
        total, done, pairs, scored = sum(join.costs), 0, 0, []
        begun = False
        for cost, (part, fresh) in zip(join.costs, self._parts(join), strict=True):
            pairs += len(part[0])
            if pairs > most:
                raise TooManyPairsError
            scored.append(part)
            done += cost
            if others is None:
                begun = begun or fresh
                self._advance(int(rows[0]) + done / total * len(rows), begun)
        return scored

    def _join(self, rows: Ints, others: Ints | None, most: int) -> Join:
        numbers, sides = rows, None
        if others is not None:
            numbers = np.concatenate([rows, others])
            order = np.argsort(numbers)
            numbers = numbers[order]
        tokens = self._pool.tokens_of(numbers)
        lengths = self._pool.lengths[numbers]
        prepared = JoinRows.of(numbers, lengths, tokens, self._ranks, self._limits)
        if others is not None:
            sides = np.isin(prepared.number, rows)
        return Join(prepared, self._limits, sides, most)

    def _parts(self, join: Join) -> Iterator[tuple[_Scored, bool]]:
        """Yield the pairs of each part in order, and whether an earlier run had not found them."""
        names = [f"join-{self._joins:05}-{part:05}" for part in range(len(join.parts))]
        if len(names) == 1:
            yield self._scored(join, join.parts[0], names[0])
            return
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            waiting = [
                threads.submit(self._scored, join, part, name)
                for part, name in zip(join.parts, names, strict=True)
            ]
            try:
                for future in waiting:
                    yield future.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _scored(self, join: Join, part: tuple[int, int], name: str) -> tuple[_Scored, bool]:
        data = self._steps.read(name) if self._steps is not None else None
        if data is not None:
            columns = np.frombuffer(data, "<f8").reshape(3, -1)
            return (columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2]), False
        fresh = self._score(join, part)
        if self._steps is not None:
            with self._lock:
                self._steps.publish(name, np.array(fresh, "<f8").tobytes())
        return fresh, True

    def _score(self, join: Join, part: tuple[int, int]) -> _Scored:
        first, second = join.pairs(part)
        new, old = np.maximum(first, second), np.minimum(first, second)
        pairs = exceeding(new, old, self._pool, self._pool, self._bound, self._recheck)
        return np.array(pairs.new, np.int64), np.array(pairs.old, np.int64), np.array(pairs.score)

    def _advance(self, rows: float, fresh: bool) -> None:
        share = (rows - self._start) / (len(self._pool) - self._start)
        if self._report is not None and share > self._done:
            self._done = share
            self._report(share, fresh)

    def _apply(self, scored: list[_Scored]) -> None:
        """Take over pairs, in order of the later row; only a kept row can be a neighbour."""
        if not scored:
            return
        new, old, score = (np.concatenate(side) for side in zip(*scored, strict=True))
        for index in np.lexsort((old, new)).tolist():
            earlier, later = int(old[index]), int(new[index])
            if self.score[earlier] == 0:
                value = float(score[index])
                best = self.score[later]
                if value > best or (value == best and earlier < self.nearest[later]):
                    self.score[later], self.nearest[later] = value, earlier
