"""Counter-based randomness: every example has its own generator, derived by hashing."""

from __future__ import annotations

import hashlib
from random import Random


def rng_for(seed: int, *parts: int | str) -> Random:
    """Make the generator of one numbered thing, the same on every machine and in any order."""
    text = "/".join(map(str, (seed, *parts)))
    return Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
