"""The memory bank: embeddings of everything written before, against which novelty is measured."""

from collections.abc import Sequence

import numpy as np

from refine_af.dedup.pool import Growing
from refine_af.evolve.state import Vectors


class Bank:
    """Embeddings of instructions, all of length 1 (or 0 for a text without words)."""

    def __init__(self, dimension: int) -> None:
        """Start empty."""
        self._rows = Growing(np.float32, dimension)

    def __len__(self) -> int:
        return len(self._rows.items)

    def add(self, vectors: Vectors) -> None:
        """Remember rows, shape (n, dimension)."""
        self._rows.extend(vectors)

    def copy(self) -> "Bank":
        """Return an independent copy."""
        other = Bank(self._rows.items.shape[1])
        other.add(self._rows.items)
        return other

    def similarity(self, vectors: Vectors) -> Vectors:
        """Return the largest cosine of each row with the bank, -1 to 1; 0 for an empty bank."""
        if not len(self):
            return np.zeros(len(vectors), dtype=np.float32)
        similarity: Vectors = np.clip((vectors @ self._rows.items.T).max(1), -1.0, 1.0)
        return similarity


def nearest(vector: Vectors, others: Sequence[Vectors]) -> float:
    """Return the largest cosine of a vector with ``others``; -1 where there are none."""
    if not others:
        return -1.0
    return float(np.clip((np.stack(others) @ vector).max(), -1.0, 1.0))
