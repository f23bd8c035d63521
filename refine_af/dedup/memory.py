"""The memory that rows take while they are compared, and what is available to this process."""

from collections.abc import Iterator
from pathlib import Path

from refine_af.contracts.errors import DataError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")

HELD_PER_ROW, HELD_PER_TOKEN = 240, 9
"""Bytes of a row that has been read. Measured at 8, 39 and 153 tokens a row."""

COMPARED_PER_ROW, COMPARED_PER_TOKEN = 300, 30
"""The largest while rows are compared, what was read with it: 1,470 bytes for 39 tokens."""

COMPARED_PER_LONG_ROW = 700
"""More for a row so long that it has a long signature (:data:`refine_af.dedup.join.LONG`)."""

FIXED = 64 << 20
"""What comparing takes however few the rows."""

_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
"""Of each version of control groups the files of the limit and the use, and the name of what the
kernel can take back."""


def compared_bytes(rows: float, tokens: float, long_rows: float) -> float:
    """Return the most bytes that so many rows take while they are compared."""
    by_rows = rows * COMPARED_PER_ROW + long_rows * COMPARED_PER_LONG_ROW
    return FIXED + by_rows + tokens * COMPARED_PER_TOKEN


def held_bytes(rows: int, tokens: int) -> float:
    """Return the bytes of rows that have been read."""
    return rows * HELD_PER_ROW + tokens * HELD_PER_TOKEN


def require_memory(rows: int, needed: float, available: int | None = None) -> None:
    """Refuse rows that would not fit into memory.

    Args:
        rows: Rows to compare.
        needed: Bytes that they will take beyond those in use.
        available: Bytes; None asks the machine, and the container's limit.

    Raises:
        DataError: With the numbers.
    """
    free = available_memory() if available is None else available
    if free is not None and needed > free:
        raise DataError(
            f"{rows:,} rows need about {needed / 2**30:,.2f} GiB more memory to be compared"
            f" ({COMPARED_PER_ROW} bytes a row and {COMPARED_PER_TOKEN} a token);"
            f" {free / 2**30:,.2f} GiB are available: run this on a machine, or in a container,"
            f" with at least {(needed - free) / 2**30:,.2f} GiB more, or on fewer rows"
        )


def available_memory(
    meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP
) -> int | None:
    """Return bytes: the machine's, or less where a control group has a limit; None if unknown."""
    known = [size for size in (_of_machine(meminfo),) if size is not None]
    for names, folder in _groups(cgroup, membership):
        left = _left(folder, *names)
        if left is not None:
            known.append(left)
    return min(known, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) * 1024 if sizes else None


def _groups(cgroup: Path, membership: Path) -> Iterator[tuple[tuple[str, str, str], Path]]:
    """Yield the names of files and the folder of this process's groups, and of those above.

    A container often sees its own group as the root, whatever its membership says.
    """
    yield _VERSION_1, cgroup / "memory"
    yield _VERSION_2, cgroup
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        own = Path(path.lstrip("/"))
        folders = [own, *own.parents][:-1] if own.parts else []
        if "memory" in controllers.split(","):
            yield from ((_VERSION_1, cgroup / "memory" / folder) for folder in folders)
        elif not controllers:
            yield from ((_VERSION_2, cgroup / folder) for folder in folders)


def _left(folder: Path, limit_file: str, used_file: str, cache: str) -> int | None:
    """Return what is left of a group's limit, file cache that is not in use counted as free."""
    try:
        limit = (folder / limit_file).read_text(encoding="ascii").strip()
        used = int((folder / used_file).read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    free = sum(int(line.split()[1]) for line in stat if line.startswith(f"{cache} "))
    return max(int(limit) - used + free, 0)
