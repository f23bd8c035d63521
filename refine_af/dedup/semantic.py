"""Similarity in meaning: the cosine of embeddings, and a cap on the rows of one root.

Source: our own mode. ROUGE-L removes almost nothing among evolved rewrites of one seed, because a
rewrite adds words around the same request. First arrival wins, as in the exact filter.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from refine_af.dedup.embeddings import Vectors
from refine_af.dedup.pool import Growing

_AT_ONCE = 8192
"""Pool rows of one product: bounds the cosines held at once to block x 8,192 floats."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Why a row is not new.

    Attributes:
        reason: ``semantic`` (cosine over the bound) or ``root_full``.
        id: The nearest row; None for ``root_full``.
        score: The cosine, or the rows that the root has already.
    """

    reason: Literal["semantic", "root_full"]
    id: str | None
    score: float


class SemanticGate:
    """Judges rows in order, block by block, against the pool and the rows accepted so far.

    For each block: :meth:`begin`, then per row :meth:`repeat` and, if it stays, :meth:`accept`,
    then :meth:`end`. Memory: 4 bytes x dimensions a row. Cost: one product of the block with the
    pool. Cosines count in millionths: a matrix product rounds by the row's position in it, and
    equal vectors must have equal cosines.
    """

    def __init__(self, max_cosine: float, max_per_root: int, dimensions: int) -> None:
        """Start without rows.

        Args:
            max_cosine: A row with a strictly larger cosine is a repeat; 0 judges no cosine.
            max_per_root: Most accepted rows of one root; 0 sets no cap. Pool rows do not count.
            dimensions: Of the vectors.
        """
        self._bound = max_cosine
        self._cap = max_per_root
        self._ids: list[str] = []
        self._rows = Growing(np.float32, dimensions)
        self._of_root: Counter[str] = Counter()
        self._accepted: list[int] = []
        self._block: Sequence[str] = ()
        self._roots: Sequence[str] = ()
        self._vectors: Vectors = np.zeros((0, dimensions), np.float32)
        self._near: list[tuple[int, int]] = []

    def add_pool(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add rows that are compared with but never judged; vectors are [rows, D] of length 1."""
        self._ids.extend(ids)
        self._rows.extend(vectors)

    def begin(self, ids: Sequence[str], roots: Sequence[str], vectors: Vectors) -> None:
        """Take the next rows: their ids, roots, and vectors [rows, D] of length 1 (or 0)."""
        self._block, self._roots, self._vectors = ids, roots, vectors
        self._accepted = []
        self._near = self._nearest(vectors) if self._bound else []

    def repeat(self, index: int) -> Repeat | None:
        """Return why the row at ``index`` of the block is a repeat, or None; the first that fits.

        Of equal cosines the earliest row is named.
        """
        if self._bound:
            millionths, name = self._closest(index)
            if millionths / 1e6 > self._bound:
                return Repeat("semantic", name, millionths / 1e6)
        held = self._of_root[self._roots[index]]
        if 0 < self._cap <= held:
            return Repeat("root_full", None, float(held))
        return None

    def accept(self, index: int) -> None:
        """Keep the row at ``index`` of the block."""
        self._accepted.append(index)
        self._of_root[self._roots[index]] += 1

    def end(self) -> None:
        """Add the block's accepted rows to the pool."""
        self.add_pool([self._block[index] for index in self._accepted], self._kept())

    def _kept(self) -> Vectors:
        return self._vectors[self._accepted]

    def _closest(self, index: int) -> tuple[int, str | None]:
        score, row = self._near[index]
        name = self._ids[row] if row >= 0 else None
        if self._accepted:
            here = _millionths(self._kept() @ self._vectors[index])
            best = int(here.argmax())
            if here[best] > score:
                return int(here[best]), self._block[self._accepted[best]]
        return score, name

    def _nearest(self, vectors: Vectors) -> list[tuple[int, int]]:
        """Return cosine and number of the nearest pool row for each vector; number -1 without."""
        best = np.full(len(vectors), -2_000_000, np.int32)
        which = np.full(len(vectors), -1, np.int64)
        pool = self._rows.items
        for start in range(0, len(pool), _AT_ONCE):
            cosines = _millionths(vectors @ pool[start : start + _AT_ONCE].T)
            nearest = cosines.argmax(axis=1)
            cosine = cosines[np.arange(len(vectors)), nearest]
            better = cosine > best
            best[better], which[better] = cosine[better], nearest[better] + start
        return list(zip(best.tolist(), which.tolist(), strict=True))


def _millionths(cosines: Vectors) -> npt.NDArray[np.int32]:
    millionths: npt.NDArray[np.int32] = np.rint(cosines * np.float32(1e6)).astype(np.int32)
    return millionths
