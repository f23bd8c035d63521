"""The manifest of a directory: its files with sizes and sha256.

The manifest is written last; a reader of an object store knows by it that a directory is whole.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.storage.location import OWN_PREFIX, check_name

MANIFEST_NAME = "_MANIFEST.json"
INCOMPLETE = b'{"complete": false}\n'
"""Written first: a directory that carries it is being published, or its writer was killed."""

CHUNK_BYTES = 1024 * 1024


def digest_bytes(data: bytes) -> str:
    """Return the sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal; memory is constant.

    Raises:
        DataError: As :func:`require_regular`.
    """
    with require_regular(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def require_regular(path: Path) -> Path:
    """Return ``path`` unless reading it may never end: a device, pipe or socket.

    Raises:
        DataError: Naming it.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path}: it is a device, pipe, socket or folder; give a regular file")
    return path


def digest_directory(root: Path) -> str:
    """Return one sha256 for the names and contents below ``root``.

    It is the sha256 of the lines that ``sha256sum`` prints for the files in code point order of
    their relative names. Modes, times and empty directories do not count.

    Raises:
        DataError: For a link that leads outside, or anything that is not a file or directory.
    """
    return digest_listing((name, digest_file(path)) for name, path in files_below(root))


def digest_listing(files: Iterable[tuple[str, str]]) -> str:
    """Return a directory's digest from (relative name, sha256) pairs in any order."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(files))
    return digest_bytes("".join(lines).encode())


def digest_path(path: Path) -> str:
    """Return the digest of a file or of a directory."""
    return digest_directory(path) if path.is_dir() else digest_file(path)


def files_below(root: Path) -> list[tuple[str, Path]]:
    """Return (relative name with ``/``, path) of every file, in code point order of the names.

    Links to files inside ``root`` count as files, and those of a snapshot of the Hub's cache to the
    files of its repository. A store's own unfinished files and the
    manifest of a published directory are left out.

    Raises:
        DataError: For a link that leads outside ``root`` or to a directory, for a device, pipe or
            socket, and for a name that storage refuses.
    """
    files = ((_relative(root, path), path) for path in _walk(root, root.resolve()))
    return sorted((name, path) for name, path in files if name != MANIFEST_NAME)


def _relative(root: Path, path: Path) -> str:
    return check_name(path.relative_to(root).as_posix(), str(root))


def _walk(directory: Path, inside: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(OWN_PREFIX):
                continue
            if entry.is_symlink():
                yield _checked_link(path, inside)
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(path, inside)
            elif entry.is_file(follow_symlinks=False):
                yield path
            else:
                raise DataError(f"{path}: not a file or directory; remove it before publishing")


def _hub_files(root: Path) -> Path:
    """Return where the Hub's cache keeps the files that a snapshot links to; else the folder.

    Its layout is ``models--owner--name/snapshots/COMMIT`` beside ``models--owner--name/blobs``.
    """
    return root.parent.parent / "blobs" if root.parent.name == "snapshots" else root


def _checked_link(path: Path, inside: Path) -> Path:
    target = path.resolve()
    if not (target.is_relative_to(inside) or target.is_relative_to(_hub_files(inside))):
        raise DataError(f"{path}: the link leads outside the directory; copy the file in its place")
    if not (target.exists() and stat.S_ISREG(target.stat().st_mode)):
        raise DataError(f"{path}: the link does not lead to a file; remove it or copy the file")
    return path


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and sha256 of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a directory by its relative name."""

    files: Mapping[str, FileRecord]

    @property
    def digest(self) -> str:
        """Return the directory's digest, the same as ``digest_directory`` gives."""
        return digest_listing((name, record.sha256) for name, record in self.files.items())

    @classmethod
    def of(cls, root: Path) -> "Manifest":
        """Return the manifest of a local directory; every file is read once."""
        return cls(
            {
                name: FileRecord(path.stat().st_size, digest_file(path))
                for name, path in files_below(root)
            }
        )

    def dump(self) -> bytes:
        """Return the manifest as JSON, marked complete."""
        files = {
            name: {"size": self.files[name].size, "sha256": self.files[name].sha256}
            for name in sorted(self.files)
        }
        value = {"complete": True, "files": files}
        return (json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode()

    @classmethod
    def load(cls, raw: bytes, uri: str) -> "Manifest":
        """Return the manifest in ``raw``.

        Raises:
            DataError: When it says that the directory is not whole, is not a manifest, or lists a
                name that could leave the directory. ``uri`` opens the message.
        """
        try:
            value = json.loads(raw)
            complete = value["complete"] is True
            files = value["files"] if complete else {}
            records = {
                check_name(name, uri): FileRecord(int(record["size"]), str(record["sha256"]))
                for name, record in files.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise DataError(f"{uri}: not a manifest ({error}); publish it again") from None
        except RecursionError:
            raise DataError(f"{uri}: not a manifest (nested too deep); publish it again") from None
        if not complete:
            raise DataError(
                f"{uri}: the directory is not whole; its writer is at work or was interrupted;"
                " run the writer again"
            )
        return cls(records)
