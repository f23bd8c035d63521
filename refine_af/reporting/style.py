"""How varied and how hard what an arm wrote is; arms are measured over equally many rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refine_af.contracts.records import Instance

WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"[.:!?\n]+")
LONG_WORD = 7
"""Letters from which LIX counts a word as long."""


@dataclass(frozen=True, slots=True)
class Style:
    """Of the first ``rows`` instances of an arm.

    Attributes:
        rows: Instances measured.
        different_outputs: Share of different outputs, in [0, 1].
        distinct_2: Different pairs of neighbouring words over all pairs, in [0, 1]; pairs do not
            cross from one output into the next.
        input_words: Mean words of an input.
        output_words: Mean words of an output.
        lix: Readability of the outputs (Bjornsson 1968): words per sentence plus the percentage
            of long words. Text without a full stop is one sentence.
    """

    rows: int
    different_outputs: float
    distinct_2: float
    input_words: float
    output_words: float
    lix: float


def styles(arms: Mapping[str, Sequence[Instance]]) -> dict[str, Style]:
    """Return the style of each arm over the number of rows of the smallest one."""
    count = min((len(rows) for rows in arms.values()), default=0)
    return {name: _style(rows[:count]) for name, rows in arms.items()} if count else {}


def _style(rows: Sequence[Instance]) -> Style:
    outputs = [WORD.findall(row.output.lower()) for row in rows]
    words = sum(map(len, outputs))
    pairs = sum(max(len(output) - 1, 0) for output in outputs)
    different = {pair for output in outputs for pair in pairwise(output)}
    long_words = sum(len(word) >= LONG_WORD for output in outputs for word in output)
    sentences = sum(_sentences(row.output) for row in rows)
    return Style(
        rows=len(rows),
        different_outputs=len({row.output for row in rows}) / len(rows),
        distinct_2=len(different) / pairs if pairs else 0.0,
        input_words=sum(len(row.input.split()) for row in rows) / len(rows),
        output_words=sum(len(row.output.split()) for row in rows) / len(rows),
        lix=words / sentences + 100 * long_words / words if words else 0.0,
    )


def _sentences(text: str) -> int:
    return max(1, sum(bool(WORD.search(part)) for part in SENTENCE_END.split(text)))
