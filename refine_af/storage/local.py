"""Files and directories on a local or mounted disk."""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refine_af.contracts.errors import StorageError
from refine_af.storage.digest import CHUNK_BYTES, digest_bytes, digest_listing
from refine_af.storage.exchange import put_in_place
from refine_af.storage.location import OWN_PREFIX
from refine_af.storage.manifest import Manifest
from refine_af.storage.store import MissingObjectError, Versioned, require_digest
from refine_af.storage.tree import MANIFEST_NAME, files_below

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


class LocalStore:
    """The disk as a store: write beside, fsync, rename, fsync the directory."""

    retries = 0

    def read(self, uri: str) -> bytes:
        """Return the content of one file."""
        with disk_errors("read", uri):
            return Path(uri).read_bytes()

    def download(self, uri: str, target: Path, expected: str | None = None) -> str:
        """Copy the file or directory to ``target``; a manifest in a directory is verified."""
        source = Path(uri)
        with disk_errors("read", uri):
            if not source.is_dir():
                return copy_file(source, target, expected)
            manifest = source / MANIFEST_NAME
            if manifest.exists():
                listed = Manifest.load(manifest.read_bytes(), uri).digest
                require_digest(uri, listed, expected)
                expected = listed
            return copy_directory(source, target, expected)

    def publish(self, uri: str, source: Path) -> str:
        """Copy ``source`` beside ``uri``, then rename."""
        with disk_errors("write", uri):
            return copy_file(source, Path(uri))

    def publish_bytes(self, uri: str, data: bytes) -> None:
        """Write ``data`` beside ``uri``, then rename."""
        with disk_errors("write", uri):
            write_bytes(Path(uri), data)

    def publish_directory(self, uri: str, source: Path) -> str:
        """Copy ``source`` beside ``uri``, then rename or exchange; no manifest is needed."""
        with disk_errors("write", uri):
            return copy_directory(source, Path(uri))

    def list_files(self, uri: str) -> list[str]:
        """Return the paths of all files below the directory, sorted."""
        root = Path(uri)
        with disk_errors("list", uri):
            if not root.is_dir():
                return []
            return [f"{uri.rstrip('/')}/{name}" for name in sorted(_names_below(root))]

    def list_directories(self, uri: str) -> list[str]:
        """Return the names of the directories directly below the path, sorted."""
        root = Path(uri)
        with disk_errors("list", uri):
            if not root.is_dir():
                return []
            return sorted(
                entry.name
                for entry in os.scandir(root)
                if entry.is_dir() and not entry.name.startswith(OWN_PREFIX)
            )

    def exists(self, uri: str) -> bool:
        """Return whether the path exists."""
        with disk_errors("look at", uri):
            return Path(uri).exists()

    def delete(self, uri: str) -> None:
        """Remove the path and all below it; a directory disappears in one step."""
        path = Path(uri)
        with disk_errors("delete", uri):
            if path.is_dir() and not path.is_symlink():
                doomed = beside(path)
                path.rename(doomed)
                shutil.rmtree(doomed)
            else:
                path.unlink(missing_ok=True)

    def read_version(self, uri: str) -> Versioned | None:
        """Return the content and, as its version, its sha256."""
        try:
            data = self.read(uri)
        except MissingObjectError:
            return None
        return Versioned(data, digest_bytes(data))

    def sweep(self, uri: str) -> None:
        """Remove hidden unfinished files and directories below the path."""
        with disk_errors("tidy", uri):
            for directory, folders, names in os.walk(uri):
                for folder in filter(_unfinished, list(folders)):
                    shutil.rmtree(Path(directory, folder))
                    folders.remove(folder)
                for name in filter(_unfinished, names):
                    Path(directory, name).unlink()

    def swap(self, uri: str, data: bytes, expected: str | None) -> str | None:
        """Compare and write under a file lock, which the kernel drops when its holder dies."""
        path = Path(uri)
        with disk_errors("lock", uri):
            path.parent.mkdir(parents=True, exist_ok=True)
            guard = os.open(path.with_name(f"{OWN_PREFIX}{path.name}.lock"), _GUARD_FLAGS, 0o666)
            try:
                fcntl.flock(guard, fcntl.LOCK_EX)
                current = self.read_version(uri)
                if (current.version if current else None) != expected:
                    return None
                write_bytes(path, data)
                return digest_bytes(data)
            finally:
                os.close(guard)


_GUARD_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def _unfinished(name: str) -> bool:
    return name.startswith(OWN_PREFIX) and name.endswith(".tmp")


def beside(path: Path) -> Path:
    """Return an unused hidden path in the same directory, so that a rename stays on one disk."""
    return path.with_name(f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(6)}.tmp")


def write_bytes(target: Path, data: bytes) -> None:
    """Put ``data`` at ``target`` in one atomic, durable step."""
    with _new_file(target) as sink:
        _write_all(sink, data)


def copy_file(source: Path, target: Path, expected: str | None = None) -> str:
    """Copy a file to ``target`` in one atomic, durable step and return its sha256.

    Raises:
        DataError: When the sha256 is not ``expected``; ``target`` is then left as it was.
    """
    with source.open("rb") as reader, _new_file(target) as sink:
        digest = _copy(reader.fileno(), sink)
        require_digest(str(source), digest, expected)
    return digest


def copy_directory(source: Path, target: Path, expected: str | None = None) -> str:
    """Copy a directory to ``target`` in one atomic, durable step and return its digest.

    Raises:
        DataError: When the digest is not ``expected``; ``target`` is then left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = beside(target)
    try:
        digest = _stage_directory(source, staged)
        require_digest(str(source), digest, expected)
        put_in_place(staged, target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return digest


def _stage_directory(source: Path, staged: Path) -> str:
    digests = []
    staged.mkdir()
    for name, path in files_below(source):
        copy = staged / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as reader:
            sink = os.open(copy, _NEW_FLAGS, 0o666)
            try:
                digests.append((name, _copy(reader.fileno(), sink)))
                os.fsync(sink)
            finally:
                os.close(sink)
    for directory, _, _ in os.walk(staged):
        sync_directory(Path(directory))
    return digest_listing(digests)


_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def _new_file(target: Path) -> Iterator[int]:
    staged = beside(target)
    try:
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        sink = os.open(staged, _NEW_FLAGS, 0o666)
    try:
        try:
            yield sink
            os.fsync(sink)
        finally:
            os.close(sink)
        staged.rename(target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


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


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names_below(root: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(OWN_PREFIX)]
        for name in names:
            if not name.startswith(OWN_PREFIX) and name != MANIFEST_NAME:
                yield Path(directory, name).relative_to(root).as_posix()
