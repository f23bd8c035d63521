"""Replacing a directory by another in one step."""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def put_in_place(staged: Path, target: Path) -> None:
    """Move the file or directory ``staged`` to ``target``, and what was there to ``staged``.

    Linux exchanges the two names in one step. Where the disk cannot (NFS), the old directory is
    moved away first: for that moment, or after a kill in it, a reader finds nothing, never parts.
    """
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchange(staged, target):
            _replace_in_two_steps(staged, target)


def _replace_in_two_steps(staged: Path, target: Path) -> None:
    aside = staged.with_name(f"{staged.stem}-old.tmp")
    target.rename(aside)
    staged.rename(target)
    aside.rename(staged)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names (``renameat2``); return False where it is not offered."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    names = os.fsencode(first), os.fsencode(second)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(first))
