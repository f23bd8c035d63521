"""Files and directories on a local or mounted disk."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from refine_af.storage.atomic import (
    beside,
    copy_directory,
    copy_file,
    disk_errors,
    make_folder,
    write_bytes,
)
from refine_af.storage.location import OWN_PREFIX
from refine_af.storage.manifest import (
    MANIFEST_NAME,
    Manifest,
    digest_bytes,
    digest_path,
    require_regular,
)
from refine_af.storage.store import MissingObjectError, Versioned, require_digest


class LocalStore:
    """The disk as a store: write beside, fsync, rename, fsync the directory."""

    @property
    def retries(self) -> int:
        """Return 0: requests to a disk are not repeated."""
        return 0

    def read(self, uri: str) -> bytes:
        """Return the content of one file."""
        with disk_errors("read", uri):
            return require_regular(Path(uri)).read_bytes()

    def download(self, uri: str, target: Path, expected: str | None = None) -> str:
        """Copy the file or directory to ``target``; a manifest in a directory is verified."""
        source = Path(uri)
        with disk_errors("read", uri):
            if not source.is_dir():
                return copy_file(require_regular(source), target, expected, durable=False)
            manifest = source / MANIFEST_NAME
            if manifest.exists():
                listed = Manifest.load(manifest.read_bytes(), uri).digest
                require_digest(uri, listed, expected)
                expected = listed
            return copy_directory(source, target, expected, durable=False)

    def fingerprint(self, uri: str) -> str:
        """Return the sha256 of the file, or the digest of the directory."""
        with disk_errors("read", uri):
            return digest_path(Path(uri))

    def publish(self, uri: str, source: Path) -> str:
        """Copy ``source`` beside ``uri``, then rename; a link there is followed."""
        with disk_errors("write", uri):
            return copy_file(source, _behind(uri))

    def publish_bytes(self, uri: str, data: bytes, *, durable: bool = True) -> None:
        """Write ``data`` beside ``uri``, then rename."""
        with disk_errors("write", uri):
            write_bytes(_behind(uri), data, durable=durable)

    def publish_directory(self, uri: str, source: Path) -> str:
        """Copy ``source`` beside ``uri``, then rename or exchange; no manifest is needed."""
        with disk_errors("write", uri):
            return copy_directory(source, _behind(uri))

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
            make_folder(path.parent)
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


def _behind(uri: str) -> Path:
    """Return the target of a link, which may be on another disk, or the path itself."""
    return Path(os.path.realpath(uri)) if os.path.islink(uri) else Path(uri)


def _unfinished(name: str) -> bool:
    return name.startswith(OWN_PREFIX) and name.endswith(".tmp")


def _names_below(root: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(OWN_PREFIX)]
        for name in names:
            if not name.startswith(OWN_PREFIX) and name != MANIFEST_NAME:
                yield Path(directory, name).relative_to(root).as_posix()
