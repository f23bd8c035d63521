"""Ways of naming an input that do not change the task, and readers of the shared input forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from refine_af.builtin import words

LIST = (
    "list",
    "word list",
    "row of words",
    "series",
    "line of words",
    "shopping list",
    "set of words",
    "collection",
    "sequence",
    "packing list",
    "inventory",
    "catalogue",
    "list of nouns",
)
TEXT = (
    "sentence",
    "line",
    "statement",
    "remark",
    "message",
    "note",
    "diary entry",
    "caption",
    "short text",
    "report",
)
WORD = ("word", "term", "noun", "entry")
NUMBER = ("number", "value", "figure")

_WORD = re.compile(r"[a-z]+")


def read_words(text: str, least: int = 2, most: int = 9) -> list[str] | None:
    """Read ``a, b, c``; None when it is not a list of that many lower-case words."""
    found = text.split(", ")
    if not least <= len(found) <= most or not all(map(_WORD.fullmatch, found)):
        return None
    return found


def read_numbers(text: str, count: int | None = None) -> list[int] | None:
    """Read ``1, 2, 3``; None when it is not a list of numbers below 1,000."""
    found = text.split(", ")
    if (count is not None and len(found) != count) or not all(
        re.fullmatch(r"\d{1,3}", part) for part in found
    ):
        return None
    return [int(part) for part in found]


def draw_words(rng: Random, least: int, most: int, pool: Sequence[str] = words.NOUNS) -> list[str]:
    """Draw that many different words."""
    return rng.sample(pool, rng.randint(least, most))


def with_word(rng: Random, found: list[str], word: str) -> list[str]:
    """Put the word at a random place of the list in place of what stood there."""
    if word not in found:
        found[rng.randrange(len(found))] = word
    return found


def article(word: str) -> str:
    """Return the word with its indefinite article."""
    return ("an " if word[0].lower() in "aeiou" else "a ") + word
