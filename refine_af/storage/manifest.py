"""The list of a published directory's files, written last, by which a reader knows it is whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.storage.digest import digest_file, digest_listing
from refine_af.storage.location import check_name
from refine_af.storage.tree import files_below

INCOMPLETE = b'{"complete": false}\n'
"""Written first: a directory that carries it is being published, or its writer was killed."""


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

    @property
    def size(self) -> int:
        """Return the sum of the files' sizes in bytes."""
        return sum(record.size for record in self.files.values())

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
    def load(cls, raw: bytes, place: str) -> "Manifest":
        """Return the manifest in ``raw``.

        Raises:
            DataError: When it says that the directory is not whole, is no manifest, or lists a
                name that could leave the directory.
        """
        try:
            value = json.loads(raw)
            complete = value["complete"] is True
            files = value["files"] if complete else {}
            records = {
                check_name(name, place): FileRecord(int(record["size"]), str(record["sha256"]))
                for name, record in files.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: not a manifest ({error}); publish it again") from None
        if not complete:
            raise DataError(
                f"{place}: the directory is not whole; its writer is at work or was interrupted;"
                " run the writer again"
            )
        return cls(records)
