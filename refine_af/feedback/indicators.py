"""Indicators that need no model: length, repetition and script of the output."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from refine_af.feedback.interface import Parts, Triplet

NGRAM = 4
"""Words in the repeated sequence that the guard counts."""


class TextIndicators:
    """Scores the output's surface: ``words``, ``repetition`` and ``script_share``.

    Attributes:
        script: First word of the Unicode names of the expected letters, such as ``LATIN``,
            ``CYRILLIC``, ``CJK`` or ``ARABIC``.
    """

    name: str = "text"
    part_names: tuple[str, ...] = ("words", "repetition", "script_share")

    def __init__(self, script: str = "LATIN") -> None:
        self.script = script

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the three indicators of each output."""
        return [
            {
                "words": float(len(row.output.split())),
                "repetition": repeated_share(row.output.lower().split()),
                "script_share": script_share(row.output, self.script, row.prompt),
            }
            for row in rows
        ]


def repeated_share(words: Sequence[str], size: int = NGRAM) -> float:
    """Return the share in [0, 1) of word n-grams that repeat an earlier one of the same text.

    0 for a text with fewer than ``size`` words. "a b a b a b a b" has 5 four-grams of which 2
    differ, hence 0.6.
    """
    grams = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def script_share(text: str, script: str, prompt: str = "") -> float:
    """Return the share in [0, 1] of the text's letters that are of an expected script.

    Expected are ``script`` and every script that the prompt itself uses, so that a task about
    Greek words may be answered in Greek. 1 for a text without letters. This tells scripts apart,
    not languages: French in place of English passes.
    """
    expected = {script} | {_script(char) for char in set(prompt) if char.isalpha()}
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return 1.0
    return sum(_script(char) in expected for char in letters) / len(letters)


@lru_cache(maxsize=65536)
def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split(" ", 1)[0].split("-", 1)[0]
