"""Blocks of code in an answer, between lines of three backticks: all in them is text."""

import re
from collections.abc import Sequence

FENCE = "```"
_ALONE = re.compile(r"\s*```\w*\n(.*?)\n?```\s*", re.DOTALL)
_Block = tuple[int, int]
"""Where the marks before and behind a block begin."""


def code_blocks(text: str, begin_before: int) -> list[_Block]:
    """Return the closed blocks of code; none if the first begins at ``begin_before`` or later.

    A last one that is not closed counts as none.
    """
    if "\n" + FENCE not in text or text.find(FENCE, 0, begin_before) < 0:
        return []
    marks = _fences(text)
    return list(zip(marks[::2], marks[1::2], strict=False))


def inside(blocks: Sequence[_Block], position: int) -> bool:
    """Return whether a position lies inside one of the blocks."""
    return any(begin < position < end for begin, end in blocks)


def without_fence(text: str) -> str:
    """Return what is in the block of code that is the whole text, or the text."""
    alone = _ALONE.fullmatch(text) if FENCE in text else None
    return alone[1] if alone and FENCE not in alone[1] else text


def _fences(text: str) -> list[int]:
    """Return where a fence stands at the beginning of a line, or of the text behind a label."""
    found = []
    at = text.find(FENCE)
    while at >= 0:
        before = text[text.rfind("\n", 0, at) + 1 : at].rstrip()
        if not before or before.endswith(":"):
            found.append(at)
        end = at + len(FENCE)
        while text[end : end + 1] == "`":
            end += 1
        at = text.find(FENCE, end)
    return found
