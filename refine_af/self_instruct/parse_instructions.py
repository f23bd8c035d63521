"""From a completion to instructions: split, tidy, and the rules that need no other row.

Source: Self-Instruct, ``bootstrap_instructions.py``, ``post_process_gpt3_response``.
"""

import re
import string
from dataclasses import dataclass

from refine_af.engines.text import Finish

MIN_WORDS = 4
MAX_WORDS = 150
KEYWORDS = (
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
    "draw",
    "plot",
    "go to",
)
"""What a language model cannot do or see (Self-Instruct)."""

ALPACA_KEYWORDS = ("video", "audio", "music", "flowchart", "diagram")
"""Stanford Alpaca's further keywords."""

_PUBLISHED_NEXT = re.compile(r"\n\d+\s?\. ")
_NEXT = re.compile(r"\n\d+\s?\.(?:\s|$)")
"""As published, and a number that the completion ends with counts too."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One item of a completion.

    Attributes:
        text: Tidied; as it came when it is empty after that.
        position: Place in the completion, from 0.
        reason: Why it is dropped: ``truncated``, ``empty``, ``too_short``, ``too_long``,
            ``keyword``, ``write_a_program``, ``punctuation`` or ``non_ascii``; empty when it
            passes.
        detail: The word or count behind the reason.
    """

    text: str
    position: int
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Where a small open model needs other decisions than the published code.

    Attributes:
        parity: Decide as published: ``str.capitalize``, which lower-cases names and acronyms, and
            a completion that was cut off dropped whole. Otherwise the first letter is raised and
            only the last, cut-off piece is dropped.
        keywords: Whole words, any case.
    """

    parity: bool = False
    keywords: tuple[str, ...] = KEYWORDS


def split_completion(text: str, finish: Finish, rules: Rules) -> list[Piece]:
    """Return the pieces of a completion that continues a numbered list, in order."""
    pieces = _PUBLISHED_NEXT.split(text) if rules.parity else _split_lenient(text)
    found = []
    for position, item in enumerate(pieces):
        cut = finish == "length" and (rules.parity or position == len(pieces) - 1)
        found.append(_judge(item, position, cut, rules))
    return found


def _split_lenient(text: str) -> list[str]:
    """Split also where a model repeats the number it was given or stops after a new one."""
    start = f"\n{text}" if re.match(r"\d+\s?\.\s", text) else text
    return [item for item in _NEXT.split(start) if item.strip()]


def _judge(item: str, position: int, cut: bool, rules: Rules) -> Piece:
    text = tidy(item, rules.parity)
    if cut:
        return Piece(text or item, position, "truncated", "the completion ended by length")
    reason, detail = rule_broken(text, rules.keywords)
    return Piece(text or item, position, reason, detail)


def tidy(text: str, parity: bool) -> str:
    """Return the text on one line with a capital first letter."""
    line = " ".join(text.split())
    return line.capitalize() if parity else line[:1].upper() + line[1:]


def rule_broken(text: str, keywords: tuple[str, ...]) -> tuple[str, str]:
    """Return (reason, detail) of the first rule that the text breaks, or two empty strings.

    The rules are tried in the published order.
    """
    if not text:
        return "empty", ""
    words = len(text.split(" "))
    if words < MIN_WORDS:
        return "too_short", f"{words} words; at least {MIN_WORDS}"
    if words > MAX_WORDS:
        return "too_long", f"{words} words; at most {MAX_WORDS}"
    for word in keywords:
        if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE):
            return "keyword", word
    if text.startswith("Write a program"):
        return "write_a_program", ""
    if text[0] in string.punctuation:
        return "punctuation", text[0]
    if not text[0].isascii():
        return "non_ascii", text[0]
    return "", ""
