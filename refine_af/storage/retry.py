"""How often and how long a request is repeated when a store fails for a moment."""

import random
from collections.abc import Iterator

ATTEMPTS = 8
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0
STATUS_CODES = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP answers that a repeated request may outlive."""


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each repetition: full jitter under a doubling limit.

    At most 7 pauses and 23 s in all. Jitter spreads many pods that met the same outage; it has no
    part in results, so it is not seeded.
    """
    limit = FIRST_SECONDS
    for _ in range(ATTEMPTS - 1):
        yield random.uniform(0.0, min(limit, LONGEST_SECONDS))
        limit *= 2
