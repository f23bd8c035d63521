"""Think blocks, which a reasoning model writes before its answer; they are not part of it.

Models open them themselves (``<think>...</think>``, empty where they need no thought), or their
chat template opens them at the end of the prompt. Everything after the opening of an unclosed block
belongs to it.
"""

import re

_NAMES = "think|thinking|thought|thoughts|reasoning|seed:think"
_OTHERS = {
    "[THINK]": "[/THINK]",
    "\u25c1think\u25b7": "\u25c1/think\u25b7",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}
"""Closing mark by opening mark, of models that do not write them as tags."""

_ANY_OPENING = rf"(?:<(?P<name>{_NAMES})>|(?P<other>{'|'.join(map(re.escape, _OTHERS))}))"
_ANY_CLOSING = rf"(?:</(?:{_NAMES})>|{'|'.join(map(re.escape, _OTHERS.values()))})"
_OPENED = re.compile(rf"\s*{_ANY_OPENING}", re.IGNORECASE)
_CLOSED = re.compile(rf"{_ANY_CLOSING}\s*", re.IGNORECASE)
_OPENING = re.compile(_ANY_OPENING, re.IGNORECASE)
_AT_END = re.compile(rf"{_ANY_OPENING}\s*\Z", re.IGNORECASE)

THINK_MARKS = frozenset(
    [mark for name in _NAMES.split("|") for mark in (f"<{name}>", f"</{name}>")]
    + [mark for pair in _OTHERS.items() for mark in pair]
)
"""Tokens of their own in the vocabularies of reasoning models."""


def split_thinking(text: str, opened: bool | None = False) -> tuple[str, str]:
    """Return (think blocks with the blanks behind them, answer); joined they are ``text``.

    Args:
        text: What a model wrote.
        opened: Whether the prompt opened a block. None: not known; text up to a closing mark
            without an opening one is then thought.
    """
    if not opened and "<" not in text and "[" not in text and "\u25c1" not in text:
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
    if (other := opening["other"]) is not None:
        [closing] = [end for mark, end in _OTHERS.items() if mark.lower() == other.lower()]
        return re.compile(rf"{re.escape(closing)}\s*", re.IGNORECASE)
    return re.compile(rf"</{opening['name']}>\s*", re.IGNORECASE)


def _closes_first(text: str) -> bool:
    closing = _CLOSED.search(text)
    return closing is not None and _OPENING.search(text, 0, closing.start()) is None
