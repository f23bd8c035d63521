"""Think blocks, which a reasoning model writes before its answer; they are not part of it.

Models open them themselves (``<think>...</think>``, empty where they need no thought), or their
chat template opens them at the end of the prompt. Everything after the opening of an unclosed block
belongs to it.
"""

import re

_NAMES = "think|thinking|thought|reasoning"
_OPENED = re.compile(rf"\s*(?:<(?P<name>{_NAMES})>|(?P<square>\[THINK\]))", re.IGNORECASE)
_CLOSED = re.compile(rf"(?:</(?:{_NAMES})>|\[/THINK\])\s*", re.IGNORECASE)
_AT_END = re.compile(rf"(?:<(?:{_NAMES})>|\[THINK\])\s*\Z", re.IGNORECASE)

THINK_MARKS = frozenset(
    mark for name in _NAMES.split("|") for mark in (f"<{name}>", f"</{name}>")
) | {"[THINK]", "[/THINK]"}
"""Tokens of their own in the vocabularies of reasoning models."""


def split_thinking(text: str, opened: bool | None = False) -> tuple[str, str]:
    """Return (think blocks with the blanks behind them, answer); joined they are ``text``.

    Args:
        text: What a model wrote.
        opened: Whether the prompt opened a block. None: not known; text up to a closing mark
            without an opening one is then thought.
    """
    if not opened and "<" not in text and "[" not in text:
        return "", text
    end = 0
    if opened or (opened is None and _closes_first(text)):
        closing = _CLOSED.search(text)
        if closing is None:
            return text, ""
        end = closing.end()
    while (opening := _OPENED.match(text, end)) is not None:
        closing = _closing(opening).search(text, opening.end())
        if closing is None:
            return text, ""
        end = closing.end()
    return text[:end], text[end:]


def in_thinking(text: str, opened: bool | None = False) -> bool:
    """Return whether ``text`` ends inside a think block."""
    thinking, answer = split_thinking(text, opened)
    closed = list(_CLOSED.finditer(thinking))
    return (
        not answer and bool(thinking or opened) and not (closed and closed[-1].end() == len(text))
    )


def opens_thinking(prompt: str) -> bool:
    """Return whether a prompt ends with the opening of a think block."""
    return _AT_END.search(prompt) is not None


def _closing(opening: re.Match[str]) -> re.Pattern[str]:
    if opening["square"]:
        return re.compile(r"\[/THINK\]\s*", re.IGNORECASE)
    return re.compile(rf"</{opening['name']}>\s*", re.IGNORECASE)


def _closes_first(text: str) -> bool:
    closing = _CLOSED.search(text)
    if closing is None:
        return False
    opening = re.search(rf"<(?:{_NAMES})>|\[THINK\]", text[: closing.start()], re.IGNORECASE)
    return opening is None
