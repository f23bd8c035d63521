r"""Regular expressions of untrusted files: only those that match in bounded time are accepted.

Python's matcher backtracks from every repetition, so a repetition inside a repeated group takes
exponential time. What adapters need (``.*\.(q_proj|v_proj)``) has none.
"""

import re

LONGEST = 1_000
MOST_REPETITIONS = 3
"""Time grows with the length of a module's name to this power, at most."""

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")


def pattern_trouble(pattern: str) -> str:
    """Return why a pattern is refused, or an empty string."""
    if len(pattern) > LONGEST:
        return f"it has {len(pattern)} characters, of at most {LONGEST}"
    if _BACK_REFERENCE.search(pattern):
        return "it refers back to a group"
    plain = _CLASS.sub("x", _ESCAPED.sub("x", pattern))
    if re.search(r"\)[*+{]", plain):
        return "it repeats a group"
    if len(re.findall(r"[*+{]", plain)) > MOST_REPETITIONS:
        return f"it has more than {MOST_REPETITIONS} repetitions"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"it is not a regular expression ({error})"
    return ""
