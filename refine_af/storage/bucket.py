"""What an object store must offer below ``ObjectStore``: operations on single objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from refine_af.storage.store import Versioned

ANY: Literal["any"] = "any"
"""Write whatever is there; the other conditions are a version, or None for nothing there."""


class BucketClient(Protocol):
    """One object store's requests, each repeated when the store fails for a moment.

    Methods raise ``MissingObjectError``, or ``StorageError`` with what to do.
    """

    scheme: str
    retries: int

    def get(self, bucket: str, key: str) -> Versioned:
        """Return content and version, verified."""

    def get_to(self, bucket: str, key: str, sink: BinaryIO) -> str:
        """Write the content to ``sink`` and return its sha256; verified, memory constant."""

    def put(self, bucket: str, key: str, data: bytes, condition: str | None = ANY) -> str | None:
        """Write an object; return its version, or None when the condition does not hold."""

    def put_from(self, bucket: str, key: str, source: Path, sha256: str | None = None) -> str:
        """Write an object from a file of any size and return its sha256; memory constant.

        A caller that knows the sha256 gives it, which saves a pass over the file.
        """

    def keys(self, bucket: str, prefix: str, limit: int | None = None) -> Iterator[str]:
        """Yield the keys with that prefix in code point order."""

    def folders(self, bucket: str, prefix: str) -> list[str]:
        """Return the parts between ``prefix`` and the next ``/``, each once."""

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; nothing there is no error."""

    def abort_uploads(self, bucket: str, prefix: str) -> None:
        """Drop unfinished uploads under the prefix."""
