"""Indicators that need no model: length, repetition and script of the output."""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from refine_af.feedback.interface import Parts, Triplet

NGRAM = 4
"""Words in the repeated sequence that the guard counts."""


class TextIndicators:
    """Scores the output's surface: ``words``, ``repetition``, ``script_share``, perhaps ``copied``.

    Attributes:
        script: First word of the Unicode names of the expected letters, such as ``LATIN``,
            ``CYRILLIC``, ``CJK`` or ``ARABIC``.
    """

    name: str = "text"
    part_names: tuple[str, ...] = ("words", "repetition", "script_share")

    def __init__(self, script: str = "LATIN", *, copied: bool = False) -> None:
        """Expect letters of ``script``; ``copied`` asks for that part too."""
        self.script, self._copied = script, copied
        if copied:
            self.part_names = (*self.part_names, "copied")

    def score(self, rows: Sequence[Triplet]) -> list[Parts]:
        """Return the indicators of each output."""
        return [
            {
                "words": float(len(row.output.split())),
                "repetition": repeated_share(row.output.lower().split()),
                "script_share": script_share(row.output, self.script, row.prompt),
                **({"copied": copied_share(row.output, row.prompt)} if self._copied else {}),
            }
            for row in rows
        ]


def repeated_share(words: Sequence[str], size: int = NGRAM) -> float:
    """Return the share in [0, 1) of word n-grams that repeat an earlier one of the same text.

    0 for a text with fewer than ``size`` words. "a b a b a b a b" has 5 four-grams of which 2
    differ, hence 0.6.
    """
    grams = _grams(words, size)
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def copied_share(output: str, prompt: str, size: int = NGRAM) -> float:
    """Return the share in [0, 1] of the output's word n-grams that stand in the prompt.

    0 for an output with fewer than ``size`` words: a label or a name is rightly copied.
    """
    given = _grams(prompt.lower().split(), size)
    grams = _grams(output.lower().split(), size)
    known = set(given)
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


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
