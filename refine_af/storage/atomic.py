"""Writes local files and directories atomically, and translates the disk's errors.

A file is written beside its target, forced to the disk and renamed; so is a directory, which is
exchanged with the one that is there.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refine_af.contracts.errors import DataError, RefineAfError, StorageError
from refine_af.storage.location import OWN_PREFIX
from refine_af.storage.manifest import CHUNK_BYTES, digest_listing, files_below
from refine_af.storage.store import MissingObjectError, require_digest

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)

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
    errno.ENAMETOOLONG: "a name in the path is longer than the disk allows; choose a shorter one",
    errno.ELOOP: "links in the path lead in a circle; choose another path",
}
_WRONG_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors that a retry repeats: the path cannot be used."""

_DISK_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors that only a disk raises; others count where they name a file."""


def beside(path: Path) -> Path:
    """Return an unused hidden path in the same directory, so that a rename stays on one disk."""
    return Path(_beside(str(path)))


def _beside(path: str) -> str:
    name = f"{OWN_PREFIX}{os.getpid()}-{os.urandom(6).hex()}.tmp"
    return os.path.join(os.path.dirname(path), name)


def write_bytes(target: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` at ``target`` in one atomic step."""
    with new_file(target, durable=durable) as sink:
        _write_all(sink, data)


def copy_file(
    source: Path, target: Path, expected: str | None = None, *, durable: bool = True
) -> str:
    """Copy a file to ``target`` in one atomic step and return its sha256.

    Raises:
        DataError: When the sha256 is not ``expected``; ``target`` is then left as it was.
    """
    with source.open("rb") as reader, new_file(target, durable=durable) as sink:
        digest = _copy(reader.fileno(), sink)
        require_digest(str(source), digest, expected)
    return digest


def copy_directory(
    source: Path, target: Path, expected: str | None = None, *, durable: bool = True
) -> str:
    """Copy a directory to ``target`` in one atomic step and return its digest.

    Raises:
        DataError: When the digest is not ``expected``; ``target`` is then left as it was.
    """
    with new_directory(target, durable=durable) as staged:
        digest = _copy_files(source, staged)
        require_digest(str(source), digest, expected)
    return digest


@contextmanager
def new_directory(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield an empty directory that takes the place of ``target`` after the block.

    Without ``durable`` it outlives kills, but maybe not a power cut: enough for a copy.
    """
    make_folder(target.parent)
    staged = beside(target)
    try:
        staged.mkdir()
        yield staged
        if durable:
            _sync_below(staged)
        put_in_place(staged, target)
        if durable:
            sync(target.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sync_below(folder: Path) -> None:
    for directory, _, names in os.walk(folder):
        for name in names:
            sync(Path(directory, name))
        sync(Path(directory))


def _copy_files(source: Path, folder: Path) -> str:
    digests = []
    for name, path in files_below(source):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as reader, copy.open("xb", buffering=0) as sink:
            digests.append((name, _copy(reader.fileno(), sink.fileno())))
    return digest_listing(digests)


_NEW_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def new_file(target: Path, *, durable: bool = True) -> Iterator[int]:
    """Yield the descriptor of a file that takes the place of ``target`` after the block.

    Without ``durable`` it outlives kills, but maybe not a power cut: enough for a copy.
    """
    # As text: a journal publishes often, and path objects took a good part of the time.
    final = os.fspath(target)
    staged = _beside(final)
    try:
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    except FileNotFoundError:
        make_folder(target.parent)
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    try:
        try:
            yield sink
            if durable:
                os.fsync(sink)
        finally:
            os.close(sink)
        os.rename(staged, final)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(staged)
        raise
    if durable:
        sync(target.parent)


def make_folder(path: Path) -> None:
    """Make a directory and its parents durably, always: a later durable write may rely on them."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def _copy(reader: int, sink: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(reader, CHUNK_BYTES):
        digest.update(chunk)
        _write_all(sink, chunk)
    return digest.hexdigest()


def _write_all(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def sync(path: Path) -> None:
    """Make a file's content, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def disk_trouble(error: Exception) -> RefineAfError | None:
    """Return the error for the user when the disk caused ``error``, else None.

    For files that are written outside the storage layer: temporary ones, and those of libraries,
    which may report a full disk in an exception of their own.
    """
    number = error.errno if isinstance(error, OSError) else None
    name = getattr(error, "filename", None)
    if number not in _DISK_ONLY and os.strerror(errno.ENOSPC) in str(error):
        number = errno.ENOSPC
    if number is None or number not in (_ADVICE if name else _DISK_ONLY):
        return None
    path = str(name or f"a file of this command, or in {tempfile.gettempdir()} (see TMPDIR)")
    if number in _WRONG_PATH:
        return DataError(f"{path}: cannot be used: {os.strerror(number)}; {_ADVICE[number]}")
    return StorageError(f"{path}: cannot write: {os.strerror(number)}; {_ADVICE[number]}")


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
        kind = DataError if error.errno in _WRONG_PATH else StorageError
        raise kind(f"{uri}: cannot {operation}: {error.strerror}; {advice}") from error
