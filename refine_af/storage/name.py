"""Names under which a stage publishes progress."""

import re

from refine_af.contracts.errors import DataError

ENTRY_SUFFIX = ".entry"
"""Ends the file of an entry, so that the names ``a`` and ``a/b`` can both be used."""

_PART = r"[A-Za-z0-9_][A-Za-z0-9._=+@,-]*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")


def journal_name(name: str) -> str:
    """Return ``name`` when it may be used.

    Raises:
        DataError: Naming the allowed characters.
    """
    if not _NAME.fullmatch(name) or any(part.endswith(ENTRY_SUFFIX) for part in name.split("/")):
        raise DataError(
            f"the journal name {name!r} is refused; a name has parts separated by '/', each of"
            f" letters, digits and ._=+@,- that starts with a letter, digit or _ and does not end"
            f" in {ENTRY_SUFFIX}"
        )
    return name
