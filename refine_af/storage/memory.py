"""The journal of a stage that has no ``work_dir``: it lives as long as the process."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from refine_af.storage.atomic import copy_directory
from refine_af.storage.name import journal_name
from refine_af.storage.outcome import Done, Failure


class MemoryJournal:
    """Entries in memory, directories in a temporary directory; nothing outlives ``close``."""

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._disk = tempfile.TemporaryDirectory(prefix="refine-af-journal-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary directory."""
        self._disk.cleanup()

    def read(self, name: str) -> bytes | None:
        """Return what was published under ``name``, or None."""
        return self._entries.get(journal_name(name))

    def publish(self, name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``."""
        self._entries[journal_name(name)] = bytes(data)

    def read_directory(self, name: str, target: Path) -> bool:
        """Fill ``target`` with the directory published under ``name``; False when none is."""
        if journal_name(name) not in self._folders:
            return False
        copy_directory(self._folder(name), target, durable=False)
        return True

    def publish_directory(self, name: str, source: Path) -> None:
        """Keep a copy of the directory under ``name``."""
        copy_directory(source, self._folder(journal_name(name)), durable=False)
        self._folders.add(name)

    def names(self, prefix: str = "") -> list[str]:
        """Return the published names with that prefix, sorted."""
        return sorted(
            name for name in self._entries.keys() | self._folders if name.startswith(prefix)
        )

    def discard(self, name: str) -> None:
        """Forget what was published under ``name``."""
        self._entries.pop(journal_name(name), None)
        self._folders.discard(name)

    def finish(
        self, outputs: Mapping[str, Path], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Do nothing: no later run could ask for it."""

    def finished(self) -> Done | None:
        """Return None: nothing of an earlier run is known."""
        return None

    def republish(self, targets: Mapping[str, Path]) -> bool:
        """Return False: there is nothing to put anywhere."""
        return False

    def fail(self, message: str, exit_code: int) -> None:
        """Do nothing: no later run could ask for it."""

    def failure(self) -> Failure | None:
        """Return None: nothing of an earlier run is known."""
        return None

    def _folder(self, name: str) -> Path:
        # One level, so that the directories "a" and "a/b" do not meet.
        return Path(self._disk.name, name.replace("/", "%"))
