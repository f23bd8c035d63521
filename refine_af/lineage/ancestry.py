"""Ancestors of rows, up to the seeds, and descendants of any row."""

from collections.abc import Iterable
from typing import Any

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.lineage.row_file import ids_in
from refine_af.lineage.run import Run

NO_OFFSPRING = ("calls", "trace", "kept", "scored", "used", "predictions")
"""Artifacts that repeat rows of an earlier one, or whose rows are not made from other rows."""


def ancestors(run: Run, row_ids: Iterable[str]) -> set[str]:
    """Return the ids of all rows that these were made from, and these themselves.

    One pass over the files from the last row to the first, since rows are written after their
    parents; another one where some are not.
    """
    files = [rows for _, name, rows in run.every_file() if name not in NO_OFFSPRING]
    wanted = {row_id.encode() for row_id in row_ids}
    while True:
        known, met = len(wanted), set[bytes]()
        for rows in reversed(files):
            for row_id, listed in rows.heads_backwards():
                if row_id in wanted:
                    met.add(row_id)
                    wanted.update(parent.encode() for parent in ids_in(listed))
        if met == wanted or len(wanted) == known:
            return {row_id.decode("utf-8", "replace") for row_id in wanted}


def seeds_among(run: Run, row_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return id, file's own id, name and licence of the seeds among ``row_ids``, in file order."""
    wanted = set(row_ids)
    seeds = []
    for _, rows in run.files("seeds", "seed_ingest"):
        for row in rows.lines_with(b'"seed_id": '):
            if row["id"] in wanted:
                seeds.append({key: row[key] for key in ("id", "seed_id", "name", "licence")})
    return seeds


def find_seed(run: Run, name: str) -> dict[str, Any]:
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


def descendants(run: Run, row_id: str) -> dict[str, dict[str, int]]:
    """Return the generation of every descendant, by artifact and id, in file order; 1 for children.

    One pass over the files in the order of the DAG: a row is written after its parents. The
    shortest way counts.
    """
    generations = {row_id.encode(): 0}
    below: dict[str, dict[str, int]] = {}
    for task, name, rows in run.every_file():
        if name in NO_OFFSPRING:
            continue
        for child, listed in rows.heads():
            above = [
                generations[parent]
                for parent in listed[1:-1].split(b'", "')
                if parent in generations
            ]
            if above and child not in generations:
                generations[child] = min(above) + 1
                below.setdefault(f"{task.name}/{name}", {})[child.decode()] = min(above) + 1
    return below
