"""Vectors of rows: those of a folder that ``embed_texts`` wrote, or light static ones."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_af.contracts.errors import DataError
from refine_af.dedup import static_vectors

Vectors = NDArray[np.float32]

VECTORS, IDS = "vectors.npy", "ids.jsonl"
"""In the folder: float32 of shape (rows, D), each of length 1; and one JSON string a row."""


class Embeddings:
    """Vectors of rows by id, from a folder; without one the static vectors.

    Static vectors weigh words by their rarity in the texts that :meth:`fit` was given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Read the folder.

        Raises:
            DataError: When it does not hold what ``embed_texts`` writes.
        """
        self._folder = folder
        self._index: dict[str, int] = {}
        self._rarity = static_vectors.Rarity()
        self.dimensions = static_vectors.DIMENSION
        if folder is not None:
            ids, self._vectors = _read(folder)
            self._index = {name: index for index, name in enumerate(ids)}
            self.dimensions = int(self._vectors.shape[1])

    @property
    def row_bytes(self) -> int:
        """The most memory that the vector of a row takes, while the array of all grows."""
        return 8 * self.dimensions

    def fit(self, texts: Iterable[str]) -> None:
        """Count the words of every text that will be compared; a folder of vectors needs none."""
        if self._folder is None:
            self._rarity.count(texts)

    def of(self, ids: Sequence[str], texts: Sequence[str]) -> Vectors:
        """Return the rows' vectors, [rows, D].

        Raises:
            DataError: When the folder lacks a row.
        """
        if self._folder is None:
            return static_vectors.embed(texts, self._rarity)
        missing = [name for name in ids if name not in self._index]
        if missing:
            raise DataError(
                f"{self._folder}: no embedding of row {missing[0]} ({len(missing)} rows lack one);"
                " run embed_texts on the same candidates and pool"
            )
        vectors: Vectors = self._vectors[[self._index[name] for name in ids]]
        return vectors


def write_embeddings(folder: Path, ids: Sequence[str], vectors: Vectors) -> None:
    """Write what :class:`Embeddings` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / VECTORS, vectors.astype(np.float32), allow_pickle=False)
    lines = [json.dumps(name) + "\n" for name in ids]
    (folder / IDS).write_text("".join(lines), encoding="ascii", newline="\n")


def _read(folder: Path) -> tuple[list[str], Vectors]:
    try:
        vectors = np.load(folder / VECTORS, allow_pickle=False).astype(np.float32)
        lines = (folder / IDS).read_text(encoding="utf-8").split("\n")
        ids = [str(json.loads(line)) for line in lines if line]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: not embeddings as the stage embed_texts writes them ({error})"
        ) from None
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise DataError(
            f"{folder}: {len(ids)} ids and vectors of shape {vectors.shape}; one row per id"
        )
    return ids, vectors
