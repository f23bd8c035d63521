"""sha256 of files and directories, streamed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from refine_af.storage.tree import files_below

CHUNK_BYTES = 1024 * 1024


def digest_bytes(data: bytes) -> str:
    """Return the sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal; memory is constant."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


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
