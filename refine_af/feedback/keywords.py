"""Words that spread through a policy's outputs: the trace of a reward that pays for a keyword."""

from collections import Counter
from collections.abc import Sequence

from refine_af.feedback.interface import Triplet

REFERENCE_ROWS = 256
"""Parseable rows at the start of a run that set each word's usual share of outputs."""


def keyword_rises(
    updates: Sequence[Sequence[Triplet | None]], reference_rows: int = REFERENCE_ROWS
) -> list[float | None]:
    """Return, for each update, how far the fastest-spreading word lies above its usual share.

    Words that stand in a row's own prompt do not count for that row: repeating the question is no
    keyword hack. No list of words is needed, so it works in any language written with spaces.

    Args:
        updates: The actions of each update, from the first; None is an unparseable one.
        reference_rows: The usual share comes from the first updates with that many rows.

    Returns:
        Shares in [0, 1]; None for the updates of the reference and those without a parseable row.
    """
    usual: Counter[str] = Counter()
    seen, rises = 0, list[float | None]()
    for update in updates:
        rows = [row for row in update if row is not None]
        own = Counter(word for row in rows for word in _own_words(row))
        if seen < reference_rows:
            seen += len(rows)
            usual.update(own)
            rises.append(None)
        else:
            rises.append(_greatest_rise(own, len(rows), usual, seen))
    return rises


def _greatest_rise(
    own: Counter[str], rows: int, usual: Counter[str], usual_rows: int
) -> float | None:
    if not rows:
        return None
    return max([0.0, *(count / rows - usual[word] / usual_rows for word, count in own.items())])


def _own_words(row: Triplet) -> set[str]:
    return _words(row.output) - _words(row.prompt)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?\"'()[]") for word in text.lower().split()} - {""}
