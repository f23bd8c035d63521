"""Think blocks, which a reasoning model writes before its answer; they are not part of it.

Models open them themselves (``<think>...</think>``, empty where they need no thought), or their
chat template opens them at the end of the prompt. Everything after the opening of an unclosed block
belongs to it.
"""

import re

_NAMES = (
    r"(?:[a-z]{1,20}[:_])?think(?:_[a-z]{1,20})?|thinking|thoughts?|reasoning|reflection|scratchpad"
    r"|inner_?(?:thoughts?|monologue)"
)
_BAR, _GAP, _THOUGHT = "[|\uff5c]", "[_\u2581 ]", "(?:think|thinking|thoughts?|reasoning)"
_HARMONY = r"<\|channel\|>(?:analysis|commentary)[^<]{0,60}<\|message\|>"
_FORMS = (
    (r"\[THINK\]", r"\[/THINK\]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (
        f"<{_BAR}(?:(?:start|begin){_GAP}(?:of{_GAP})?)?{_THOUGHT}(?:{_GAP}(?:start|begin))?{_BAR}>",
        f"<{_BAR}(?:/{_THOUGHT}|end{_GAP}(?:of{_GAP})?{_THOUGHT}|{_THOUGHT}{_GAP}end){_BAR}>",
    ),
    (
        rf"(?:<\|start\|>assistant)?{_HARMONY}",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<]{0,60}"
        r"(?:<\|constrain\|>[^<]{0,60})?<\|message\|>",
    ),
)
"""Opening and closing marks of models that do not write tags."""

_ANY_OPENING = (
    rf"(?:<(?P<name>{_NAMES})(?:\s[^<>]{{0,80}})?>"
    rf"|{'|'.join(f'(?P<form{at}>{opening})' for at, (opening, _) in enumerate(_FORMS))})"
)
_ANY_CLOSING = rf"(?:</(?:{_NAMES})\s?>|{'|'.join(closing for _, closing in _FORMS)})"
_OPENED = re.compile(rf"\s*{_ANY_OPENING}", re.IGNORECASE)
_CLOSED = re.compile(rf"{_ANY_CLOSING}\s*", re.IGNORECASE)
_OPENING = re.compile(_ANY_OPENING, re.IGNORECASE)
_AT_END = re.compile(rf"{_ANY_OPENING}\s*\Z", re.IGNORECASE)
_MARK = re.compile(f"{_ANY_OPENING}|{_ANY_CLOSING}", re.IGNORECASE)


def is_think_mark(token: str) -> bool:
    """Return whether a token is such a mark; they are tokens in vocabularies of their models."""
    return _MARK.fullmatch(token) is not None


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
        again = _OPENED.match(text)  # some models repeat the prompt's mark
        end = _end_of_block(text, again.end() if again else 0, _CLOSED)
        if end < 0:
            return text, ""
    while (opening := _OPENED.match(text, end)) is not None:
        end = _end_of_block(text, opening.end(), _closing(opening))
        if end < 0:
            return text, ""
    return text[:end], text[end:]


def _end_of_block(text: str, start: int, closing: re.Pattern[str]) -> int:
    """Return where a block ends that was opened before ``start``; -1 if nothing closes it.

    A block inside it ends first, where there are as many closing marks.
    """
    end, depth, at = -1, 1, start
    while depth and (closed := closing.search(text, at)) is not None:
        depth += len(_OPENING.findall(text, at, closed.start())) - 1
        end = at = closed.end()
    return end


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
    if (name := opening["name"]) is not None:
        return re.compile(rf"</{re.escape(name)}\s?>\s*", re.IGNORECASE)
    [closing] = [end for at, (_, end) in enumerate(_FORMS) if opening[f"form{at}"] is not None]
    return re.compile(rf"{closing}\s*", re.IGNORECASE)


def _closes_first(text: str) -> bool:
    closing = _CLOSED.search(text)
    return closing is not None and _OPENING.search(text, 0, closing.start()) is None
