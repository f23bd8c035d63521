"""What an error of the disk means for the user."""

import errno
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
