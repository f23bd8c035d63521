"""Which text of a model a row may hold: JSON Lines readers refuse NUL and lone surrogates."""

import re

LONGEST_TEXT = 1_000_000
"""Most characters of a text field of a row."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_READABLE_ASCII = bytes([*b"\t\n\r", *range(0x20, 0x7F)])


def is_readable(text: str) -> bool:
    """Whether ``text`` holds no control character but tab and line ends, and no lone surrogate."""
    if len(text) > LONGEST_TEXT:
        return False
    if text.isascii():  # bytes are looked up in a third of the time that characters are
        return not text.encode().translate(None, _READABLE_ASCII)
    return text.isprintable() or _CONTROL.search(text) is None


def readable(text: str) -> str:
    """Return ``text`` with U+FFFD for what :func:`is_readable` refuses, cut to the longest."""
    return text if is_readable(text) else _CONTROL.sub("\ufffd", text[:LONGEST_TEXT])
