"""The list of every byte of a finished run, in the form that ``sha256sum --check`` reads too.

``refine-af run`` writes it last. The run prints its sha256: a person who keeps that line elsewhere
can prove later that nothing was changed, added or removed.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError
from refine_af.lineage.run import ARTIFACTS, CONFIGURATION
from refine_af.storage.atomic import write_bytes
from refine_af.storage.location import check_name
from refine_af.storage.manifest import digest_bytes, digest_file

LIST = "SHA256SUMS"
PAGE = "report.html"
"""The report again, with the ending that a browser wants, and with preset and date."""
NOT_COVERED = {
    "run.log": "what libraries printed",
    "events.jsonl": "progress, with times",
    "lease.json": "who runs in the folder",
    "timing.html": "seconds and rates",
    "work/": "journals, which check themselves when they are read",
}
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def covered_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of everything that the list is about, links among it."""
    for name in (CONFIGURATION, PAGE):
        if (folder / name).exists():
            yield name, folder / name
    for directory, _, names in os.walk(folder / ARTIFACTS):
        for name in names:
            path = Path(directory, name)
            yield path.relative_to(folder).as_posix(), path


def write_digest_list(folder: Path) -> str:
    """Write the list of a finished run and return its own sha256."""
    files = sorted(covered_files(folder))
    data = "".join(f"{digest_file(path)}  {name}\n" for name, path in files).encode()
    write_bytes(folder / LIST, data)
    return digest_bytes(data)


@dataclass(frozen=True, slots=True)
class DigestList:
    """A list that was read: sha256 by name, and the sha256 of the list itself."""

    files: Mapping[str, str]
    digest: str


def read_digest_list(folder: Path) -> DigestList:
    """Return the list in a run's folder.

    Raises:
        DataError: When there is none, or a line is not of its form.
    """
    path = folder / LIST
    if not path.is_file():
        raise DataError(
            f"{path}: there is no list of digests; it is written when a run has finished, so run"
            " `refine-af run` again with this folder"
        )
    data = path.read_bytes()
    files: dict[str, str] = {}
    *lines, rest = data.decode("utf-8", "replace").split("\n")
    for number, line in enumerate([*lines, *([rest] if rest else [])], start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"{path}:{number}: not a line of sha256 and name; the list was altered")
        files[check_name(match[2], f"{path}:{number}")] = match[1]
    return DigestList(files, digest_bytes(data))
