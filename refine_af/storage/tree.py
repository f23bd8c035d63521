"""The files of a local directory, with what must not be copied refused."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.storage.location import OWN_PREFIX, check_name

MANIFEST_NAME = "_MANIFEST.json"


def files_below(root: Path) -> list[tuple[str, Path]]:
    """Return (relative name with ``/``, path) of every file, in code point order of the names.

    Links to files inside ``root`` count as files. A store's own unfinished files and the
    manifest of a published directory are left out.

    Raises:
        DataError: For a link that leads outside ``root`` or to a directory, for a device, pipe or
            socket, and for a name that storage refuses.
    """
    found = ((_relative(root, path), path) for path in _walk(root, root.resolve()))
    return sorted((name, path) for name, path in found if name != MANIFEST_NAME)


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


def _checked_link(path: Path, inside: Path) -> Path:
    target = path.resolve()
    if not target.is_relative_to(inside):
        raise DataError(f"{path}: the link leads outside the directory; copy the file in its place")
    if not (target.exists() and stat.S_ISREG(target.stat().st_mode)):
        raise DataError(f"{path}: the link does not lead to a file; remove it or copy the file")
    return path
