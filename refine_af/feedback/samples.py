"""Numbers about one update's actions that the alarms read."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from refine_af.feedback.interface import Triplet

OPENING_WORDS = 3
"""An output's template is its first words: "The answer is ...", "Sure, here is ..."."""


def describe_samples(rows: Sequence[Triplet | None]) -> dict[str, float]:
    """Return surface statistics of one update's actions; None is an unparseable one.

    Returns:
        ``rows`` (how many), ``parseable`` (share in [0, 1]), ``length`` (mean words of an
        output), ``distinct_2`` (different word pairs over all word pairs of all outputs, in
        [0, 1]; 0 without any) and ``top_template_share`` (share of outputs that open with the
        most frequent first three words). Without a parseable row only the first two.
    """
    outputs = [row.output.lower().split() for row in rows if row is not None]
    found = {
        "rows": float(len(rows)),
        "parseable": len(outputs) / len(rows) if rows else 0.0,
    }
    if not outputs:
        return found
    pairs = [pair for words in outputs for pair in itertools.pairwise(words)]
    openings = Counter(tuple(words[:OPENING_WORDS]) for words in outputs)
    return found | {
        "length": sum(map(len, outputs)) / len(outputs),
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else 0.0,
        "top_template_share": max(openings.values()) / len(outputs),
    }


class KeywordWatch:
    """Finds words that spread through the outputs since the start of the run.

    The first ``reference_rows`` parseable rows set each word's usual share of outputs. Afterwards
    :meth:`update` returns how far the fastest-spreading word lies above its usual share. Words
    that stand in a row's own prompt do not count for that row: repeating the question is not a
    keyword hack. No list of words is needed, so it works in any language.
    """

    def __init__(self, reference_rows: int = 256) -> None:
        self._wanted = reference_rows
        self._rows = 0
        self._shares: Counter[str] = Counter()

    def update(self, rows: Sequence[Triplet | None]) -> dict[str, float]:
        """Return ``{"keyword_rise": share}`` in [0, 1], or nothing while the reference fills."""
        real = [row for row in rows if row is not None]
        own = Counter(word for row in real for word in _own_words(row))
        if self._rows < self._wanted:
            self._rows += len(real)
            self._shares.update(own)
            return {}
        if not real:
            return {}
        rises = (count / len(real) - self._shares[word] / self._rows for word, count in own.items())
        return {"keyword_rise": max(0.0, *rises) if own else 0.0}

    def get_state(self) -> dict[str, Any]:
        """Return the reference as JSON values, for a checkpoint."""
        return {"rows": self._rows, "shares": dict(sorted(self._shares.items()))}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of :meth:`get_state`."""
        self._rows = int(state["rows"])
        self._shares = Counter(state["shares"])


def _own_words(row: Triplet) -> set[str]:
    return _words(row.output) - _words(row.prompt)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?\"'()[]") for word in text.lower().split()} - {""}
