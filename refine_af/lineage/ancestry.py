"""Up and down the family of rows: ancestors to the seeds, and descendants of any row."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.lineage.run_folder import RunFolder

NO_OFFSPRING = ("calls", "kept", "scored", "used", "predictions")
"""Artifacts that repeat rows of an earlier one, or whose rows are not made from other rows."""


def parents_of_all(run: RunFolder) -> dict[str, tuple[str, ...]]:
    """Return the parents of every row that can have descendants, by its id."""
    found: dict[str, tuple[str, ...]] = {}
    for _, name, rows in run.every_file():
        if name not in NO_OFFSPRING:
            for row_id, parents in rows.parents.items():
                found.setdefault(row_id, parents)
    return found


def ancestors(run: RunFolder, row_ids: Iterable[str]) -> set[str]:
    """Return the ids of all rows that these were made from, themselves not counted.

    Files are looked at in the order of the DAG and only as far as needed.
    """
    files = [rows for _, name, rows in run.every_file() if name not in NO_OFFSPRING]
    seen: set[str] = set()
    waiting = deque(row_ids)
    while waiting:
        row_id = waiting.popleft()
        if row_id in seen:
            continue
        seen.add(row_id)
        found = (rows.parents_of(row_id) for rows in files)
        waiting.extend(next((parents for parents in found if parents is not None), ()))
    return seen


def seeds_among(run: RunFolder, row_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return id, file's own id, name and licence of the seeds among ``row_ids``, in file order."""
    wanted = set(row_ids)
    found = []
    for _, rows in run.files("seeds", "seed_ingest"):
        for row in rows.lines_with(b'"seed_id": '):
            if row["id"] in wanted:
                found.append({key: row[key] for key in ("id", "seed_id", "name", "licence")})
    return found


def find_seed(run: RunFolder, name: str) -> dict[str, Any]:
    """Return the seed with that id, or with that id in the file that it came from.

    Raises:
        ParameterError: When no seed of the run has it.
    """
    known: list[str] = []
    for _, rows in run.files("seeds", "seed_ingest"):
        for row in rows.lines_with(b'"seed_id": '):
            if name in (row["seed_id"], row["id"]):
                return row
            known.append(str(row["seed_id"]))
    shown = ", ".join(known[:5])
    raise ParameterError(
        f"--seed {name!r}: the run has no such seed;{nearest(name, known)} it has {len(known)},"
        f" such as {shown}"
    )


def descendants(parents: Mapping[str, tuple[str, ...]], row_id: str) -> dict[str, int]:
    """Return the generation of every descendant by id, 1 for children; the shortest way counts."""
    children: dict[str, list[str]] = {}
    for child, listed in parents.items():
        for parent in listed:
            children.setdefault(parent, []).append(child)
    found: dict[str, int] = {}
    waiting = deque([(row_id, 0)])
    while waiting:
        current, generation = waiting.popleft()
        for child in children.get(current, ()):
            if child not in found:
                found[child] = generation + 1
                waiting.append((child, generation + 1))
    return found
