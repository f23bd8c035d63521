"""Groups of similar seeds: they show whether the best operator depends on the seed."""

import numpy as np

from refine_af.contracts.randomness import derive
from refine_af.evolve.state import Vectors

ROUNDS = 25


def clusters(vectors: Vectors, count: int, seed: int) -> list[int]:
    """Return the group of each row by spherical k-means, numbered from 0 in order of size.

    Starts from rows far from each other (the first is drawn, each next one is the least similar
    to those before), so the same rows and seed give the same groups. Fewer rows than ``count``
    make fewer groups.
    """
    if not len(vectors):
        return []
    count = min(count, len(vectors))
    centres = [vectors[derive(seed, "cluster") % len(vectors)]]
    while len(centres) < count:
        nearest = (vectors @ np.stack(centres).T).max(1)
        centres.append(vectors[int(nearest.argmin())])
    held = np.stack(centres)
    groups = (vectors @ held.T).argmax(1)
    for _ in range(ROUNDS):
        held = np.stack([_centre(vectors[groups == group], held[group]) for group in range(count)])
        moved = (vectors @ held.T).argmax(1)
        if (moved == groups).all():
            break
        groups = moved
    sizes = np.bincount(groups, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    return [int(group) for group in rank[groups]]


def _centre(rows: Vectors, before: Vectors) -> Vectors:
    if not len(rows):
        return before
    mean = rows.mean(0)
    length = float(np.linalg.norm(mean))
    centre: Vectors = (mean / length).astype(np.float32) if length > 0 else before
    return centre
