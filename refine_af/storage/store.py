"""The interface of stores, and their errors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refine_af.contracts.errors import DataError


class MissingObjectError(DataError):
    """Nothing is stored under the URI yet."""

    is_remembered = False


class DamagedError(DataError):
    """The content is not what was stored: altered, cut short, or replaced while it was read."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """Content with the store's version of it."""

    data: bytes
    version: str


class Source(Protocol):
    """Files, and in a store directories, that can be read.

    Methods raise ``MissingObjectError`` for what is not there, ``StorageError`` when the source
    cannot be used (with what to do), and ``DataError`` for content or names that are refused.
    """

    @property
    def retries(self) -> int:
        """Return how many requests were repeated so far because the other side failed."""

    def read(self, uri: str) -> bytes:
        """Return the content of one file."""

    def download(self, uri: str, target: Path, expected: str | None = None) -> str:
        """Copy the file or directory at ``uri`` to the local ``target`` and return its digest.

        Streams; memory is constant. Checksums that the store or a manifest holds are verified.
        The copy outlives a kill of this process, but is not forced to the disk as ``publish`` is.
        ``target`` appears whole, in place of what was there, and only if its digest is
        ``expected`` where that is given.

        Raises:
            DataError: For content with another checksum or digest.
        """

    def fingerprint(self, uri: str) -> str:
        """Return what changes whenever the content at ``uri`` does; read as little as possible."""


class Store(Source, Protocol):
    """Files and directories under URIs of one scheme.

    Whatever is published is visible whole or not at all, also when the writer is killed.
    """

    def exists(self, uri: str) -> bool:
        """Return whether a file, or a directory with a file in it, is at ``uri``."""

    def publish(self, uri: str, source: Path) -> str:
        """Copy the local file ``source`` to ``uri`` and return its sha256."""

    def publish_bytes(self, uri: str, data: bytes, *, durable: bool = True) -> None:
        """Write ``data`` to ``uri``; without ``durable`` it outlives a kill, not a power cut."""

    def publish_directory(self, uri: str, source: Path) -> str:
        """Copy the local directory to ``uri`` in place of what was there; return its digest.

        Empty subdirectories are not kept.
        """

    def list_files(self, uri: str) -> list[str]:
        """Return the URIs of all files below the directory ``uri``, at any depth, sorted.

        Manifests and unfinished writes are left out; nothing there gives an empty list.
        """

    def list_directories(self, uri: str) -> list[str]:
        """Return the names of the directories directly below ``uri``, sorted."""

    def delete(self, uri: str) -> None:
        """Remove the file, or the directory and all below it; a missing one is not an error."""

    def read_version(self, uri: str) -> Versioned | None:
        """Return content and version of a small file, or None."""

    def sweep(self, uri: str) -> None:
        """Remove unfinished writes that killed writers left below ``uri``; for its one writer."""

    def swap(self, uri: str, data: bytes, expected: str | None) -> str | None:
        """Write ``data`` if the version at ``uri`` is still ``expected`` (None: nothing there).

        Returns:
            The new version, or None when another writer came first.
        """


def require_digest(uri: str, digest: str, expected: str | None) -> None:
    """Raise a DamagedError when ``expected`` is given and ``digest`` differs from it."""
    if expected is not None and digest != expected:
        raise DamagedError(
            f"{uri}: the content has the digest {digest}, expected {expected}; it was altered or"
            " cut short; restore it or make it anew"
        )
