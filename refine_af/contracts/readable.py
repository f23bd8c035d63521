"""Which model text can be kept: JSON Lines readers refuse NUL and lone surrogates."""

import re

LONGEST_TEXT = 1_000_000
"""Most characters of a text field of a row."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def is_readable(text: str) -> bool:
    """Whether ``text`` holds no control character but tab and line ends, and no lone surrogate."""
    # What is printable holds no control character and no surrogate, and is soon asked.
    return len(text) <= LONGEST_TEXT and (text.isprintable() or _CONTROL.search(text) is None)


def readable(text: str) -> str:
    """Return ``text`` with U+FFFD for what :func:`is_readable` refuses, cut to the longest."""
    return text if is_readable(text) else _CONTROL.sub("\ufffd", text[:LONGEST_TEXT])
