"""How varied and how hard what an arm wrote is; arms are measured over equally many rows."""

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refine_af.contracts.records import Instance
from refine_af.reporting.distinct import Numbered, Repetitions, different

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
    words = pairs = long_words = sentences = input_words = output_words = 0
    outputs, numbered, codes = Repetitions(), Numbered(), array("Q")
    for row in rows:
        outputs.add(row.output)
        found = WORD.findall(row.output.lower())
        words += len(found)
        pairs += max(len(found) - 1, 0)
        long_words += sum(len(word) >= LONG_WORD for word in found)
        codes.extend(numbered.pairs(found))
        sentences += _sentences(row.output)
        input_words += len(row.input.split())
        output_words += len(row.output.split())
    return Style(
        rows=len(rows),
        different_outputs=len(outputs.counts()) / len(rows),
        distinct_2=different(codes) / pairs if pairs else 0.0,
        input_words=input_words / len(rows),
        output_words=output_words / len(rows),
        lix=words / sentences + 100 * long_words / words if words else 0.0,
    )


def _sentences(text: str) -> int:
    return max(1, sum(bool(WORD.search(part)) for part in SENTENCE_END.split(text)))
