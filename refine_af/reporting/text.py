"""Formats model text and numbers for a page."""

import re

MOST_CHARACTERS = 600

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#!|~])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return ``text`` cut to ``most`` characters, control and direction marks made visible.

    Characters that are not printable become U+FFFD, except line breaks and tabs: a
    right-to-left override in one answer could reorder what stands beside it.
    """
    cut = text[:most]
    clean = "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd"
        for character in cut
    )
    left = len(text) - most
    return f"{clean} … ({left:,} more characters)" if left > 0 else clean


def markdown_cell(text: str) -> str:
    """Return ``text`` for a Markdown table: one line, no mark-up, no HTML."""
    flat = " ".join(shown(text).split())
    escaped = _MARKDOWN.sub(r"\\\1", flat)
    return "".join(_HTML.get(character, character) for character in escaped)


def markdown_block(text: str) -> str:
    """Return ``text`` as a fenced block that nothing inside can close."""
    body = shown(text)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


ROUNDING = 1e-12
"""Means of standardised numbers come out this far from 0; nothing that is reported is so small."""


def points(value: float | None) -> str:
    """Return a score in [0, 1] as points out of 100; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.2f}"


def signed_points(value: float) -> str:
    """Return a difference of scores in points, with its sign."""
    return f"{100 * value:+.2f}"


def number(value: float | None) -> str:
    """Return a number for people: whole ones with separators, others with four digits."""
    if value is None:
        return "-"
    if abs(value) < ROUNDING:
        return "0"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def chance(value: float) -> str:
    """Return a p value; very small ones as a bound."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
