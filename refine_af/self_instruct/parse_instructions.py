r"""Parses a list of instructions, with a reason for each that is dropped.

Source: Self-Instruct, section 2.4 and ``post_process_gpt3_response``; the ROUGE-L filter follows
in :mod:`refine_af.self_instruct.bootstrap`. The published code splits at ``\n10. `` alone, which
base models write; chat models write other marks and talk around the list, so the default reads
those too (:mod:`refine_af.self_instruct.list_items`).
"""

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish
from refine_af.self_instruct.list_items import Item, list_items

BLACKLIST = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files"),
    *("map", "maps", "draw", "plot", "go to"),
)
"""Words that ask for what a language model cannot see or do (Self-Instruct)."""

ALPACA_BLACKLIST = (*BLACKLIST, "video", "audio", "music", "flowchart", "diagram")
"""With the five that Stanford Alpaca adds."""

REASONS = (
    "truncated",
    "chatter",
    "ambiguous",
    "empty",
    "unreadable",
    "too_short",
    "too_long",
    "keyword",
    "write_a_program",
    "punctuation",
    "non_ascii",
    "statement",
)

_STATEMENT = re.compile(
    r"(i|you|he|she|it|we|they|there|the|a|an|this|that|these|those|all|your|my|one)"
    r"\b",
    re.IGNORECASE,
)
"""What an English sentence begins with that states something; requests begin with a verb."""
_GOES_ON = re.compile(r"[.!:;]\s+\S")
_ASKS = re.compile(r"\?|\b(please|need|want|would like)\b", re.IGNORECASE)

_ITEM = re.compile(r"\n\d+\s?\. ")


@dataclass(frozen=True, slots=True)
class ParseRules:
    """What may differ from the published rules; the defaults suit small open models.

    Attributes:
        capitalise: ``first_letter`` leaves the rest alone; ``sentence`` lower-cases it, as
            published (``str.capitalize``), which spoils names and acronyms.
        drop_truncated: Of a completion that ended at its token limit: ``last`` drops the piece
            that was cut off, ``all`` drops every piece, as published.
        blacklist: Whole words that drop a piece, in lower case here and in any case there.
        statements: Whether one sentence that states something passes, see :func:`is_statement`.
        lists: ``usual`` reads the marks that people use for lists and drops what is said around
            the list; ``published`` splits at a line's number with dot and blank, nothing else.
    """

    capitalise: Literal["first_letter", "sentence"] = "first_letter"
    drop_truncated: Literal["last", "all"] = "last"
    blacklist: tuple[str, ...] = BLACKLIST
    statements: bool = True
    lists: Literal["usual", "published"] = "usual"


PUBLISHED = ParseRules(capitalise="sentence", drop_truncated="all", lists="published")


@dataclass(frozen=True, slots=True)
class Piece:
    """One item of the list.

    Attributes:
        text: With white space collapsed, capitalised as asked.
        position: Place in the completion, from 0; dropped pieces count.
        reason: Why it is dropped, one of :data:`REASONS`; None when it passed.
        detail: The word, number or character that decided.
    """

    text: str
    position: int
    reason: str | None = None
    detail: str = ""


def parse_instructions(
    completion: str, finish: Finish, rules: ParseRules | None = None
) -> list[Piece]:
    """Return every piece of a completion, in order, kept or with the first rule that it breaks."""
    rules = rules or ParseRules()
    items: list[Item]
    if rules.lists == "published":
        items = [(text, None, "") for text in _ITEM.split(completion)]
    else:
        items = list_items(completion)
    cut_from = len(items)
    if finish == "length":
        cut_from = 0 if rules.drop_truncated == "all" else len(items) - 1
    pieces = []
    for position, (text, reason, detail) in enumerate(items):
        words = text.split()
        text = _capitalised(" ".join(words), rules)
        broken: str | None = reason
        if position >= cut_from:
            broken, detail = "truncated", ""
        elif reason is None:
            broken, detail = _broken_rule(text, len(words), rules.blacklist)
            if broken is None and not rules.statements and is_statement(text):
                broken, detail = "statement", words[0]
        pieces.append(Piece(readable(text) if broken else text, position, broken, detail))
    return pieces


def is_statement(text: str) -> bool:
    """Return whether a text is one English sentence that states something and asks for nothing.

    Small models write such sentences into lists of tasks ("The item is no longer available."). Of
    several sentences one may be a request, so they pass.
    """
    return bool(_STATEMENT.match(text) and not _ASKS.search(text) and not _GOES_ON.search(text))


def _capitalised(text: str, rules: ParseRules) -> str:
    return text.capitalize() if rules.capitalise == "sentence" else text[:1].upper() + text[1:]


@lru_cache(maxsize=4)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)


@lru_cache(maxsize=4)
def _parts(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words without those that hold another one: texts without these hold none."""
    return tuple(
        word for word in words if not any(other in word for other in words if other != word)
    )


def _keyword(text: str, lower: str, words: tuple[str, ...]) -> str | None:
    """Return the first of ``words`` that stands in ``text``, as it is written there."""
    # Most texts hold none even as a part of a word, which is found out much sooner. Outside
    # ASCII a letter can match another one (Kelvin's sign a k), so there only the pattern decides.
    if not words or (text.isascii() and not any(map(lower.__contains__, _parts(words)))):
        return None
    match = _pattern(words).search(text)
    return match[0] if match else None


def _broken_rule(text: str, words: int, blacklist: tuple[str, ...]) -> tuple[str | None, str]:
    """Return (reason, detail) of the first broken rule in the published order, or (None, "").

    ``text`` has ``words`` words.
    """
    if not text:
        return "empty", ""
    if not is_readable(text):
        return "unreadable", "control character, lone surrogate, or over a million characters"
    if words <= 3:
        return "too_short", f"{words} words, at least 4"
    if words > 150:
        return "too_long", f"{words} words, at most 150"
    lower = text.lower()
    if (keyword := _keyword(text, lower, blacklist)) is not None:
        return "keyword", keyword
    # Ignoring case, because the other letters are left as they are.
    if lower.startswith("write a program"):
        return "write_a_program", ""
    if text[0] in string.punctuation:
        return "punctuation", text[0]
    if not text[0].isascii():
        return "non_ascii", text[0]
    return None, ""
