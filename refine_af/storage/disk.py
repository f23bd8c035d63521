"""What an error of the disk means for the user."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from refine_af.contracts.errors import StorageError
from refine_af.storage.store import MissingObjectError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another directory",
    errno.EDQUOT: "the quota is used up; free some space or choose another directory",
    errno.EFBIG: "the file is larger than the limit of this process or disk; raise the limit",
    errno.EACCES: "permission is missing; give this user access or choose another directory",
    errno.EPERM: "permission is missing; give this user access or choose another directory",
    errno.EROFS: "the disk is mounted read-only; choose a directory that can be written",
    errno.ENOLCK: "the disk has no file locks; choose a directory on another disk",
    errno.ENOTDIR: "a part of the path is a file; choose another path",
    errno.EISDIR: "a directory is there; choose another path",
}


_SURE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors that only a disk has; the others mean one where they name a file."""


def disk_trouble(error: Exception) -> StorageError | None:
    """Return what to tell the user where any exception is the disk's doing, else None.

    For files that are written past the storage layer: temporary ones, and those of libraries,
    which may report a full disk in an exception of their own.
    """
    number = error.errno if isinstance(error, OSError) else None
    name = getattr(error, "filename", None)
    if number not in _SURE and os.strerror(errno.ENOSPC) in str(error):
        number = errno.ENOSPC
    if number is None or number not in (_ADVICE if name else _SURE):
        return None
    place = str(name or f"a file of this command, or in {tempfile.gettempdir()} (see TMPDIR)")
    return StorageError(f"{place}: cannot write: {os.strerror(number)}; {_ADVICE[number]}")


@contextmanager
def disk_errors(operation: str, uri: str) -> Iterator[None]:
    """Turn an OSError inside the block into one of ours, with URI, operation and advice."""
    try:
        yield
    except FileNotFoundError as error:
        missing = error.filename or uri
        raise MissingObjectError(
            f"{uri}: cannot {operation}: {missing} does not exist; check the path"
        ) from error
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "check the disk")
        raise StorageError(f"{uri}: cannot {operation}: {error.strerror}; {advice}") from error
