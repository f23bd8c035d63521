"""Counter-based randomness: every draw is a function of (seed, purpose, keys), never of order.

A global generator makes row 7 depend on what happened to rows 0 to 6, so a resumed or sharded run
differs from an uninterrupted one. Here each draw names what it is for; the same name gives the
same draw on any machine and after any crash.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")
Key = str | int


def derive(seed: int, purpose: str, *keys: Key) -> int:
    """Return a uniform integer in [0, 2**63) that depends on nothing but the arguments."""
    text = "\x1f".join([str(seed), purpose, *(f"{type(key).__name__}:{key}" for key in keys)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def uniform(seed: int, purpose: str, *keys: Key) -> float:
    """Return a uniform float in [0, 1)."""
    return (derive(seed, purpose, *keys) >> 10) / (1 << 53)


def replicate_seed(seed: int, replicate: int) -> int:
    """Return the seed of a repetition of one arm: ``seed`` itself for 0, else another, < 2**31."""
    return derive(seed, "replicate", replicate) % 2**31 if replicate else seed


def generator(seed: int, purpose: str, *keys: Key) -> random.Random:
    """Return a fresh generator for one purpose; use it for that purpose and drop it."""
    return random.Random(derive(seed, purpose, *keys))


def sample(items: Sequence[Item], count: int, seed: int, purpose: str, *keys: Key) -> list[Item]:
    """Return ``count`` different items in random order; all of them when there are fewer.

    Ranks the positions by a hash instead of calling ``random.sample``, whose algorithm is not
    promised to stay the same between Python versions. Costs O(len(items)) hashes.
    """
    ranked = sorted(range(len(items)), key=lambda index: derive(seed, purpose, *keys, index))
    return [items[index] for index in ranked[:count]]


def shuffled(items: Sequence[Item], seed: int, purpose: str, *keys: Key) -> list[Item]:
    """Return all items in random order."""
    return sample(items, len(items), seed, purpose, *keys)
