"""Nearest rows of a run, computed on demand for a passport."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from refine_af.contracts.jsonl import JsonObject, parse_object
from refine_af.lineage.row_file import RowFile, text_in
from refine_af.lineage.run import Run, RunTask

SHOWN = 3
"""Evaluation rows in a passport."""


def nearest_before(
    run: Run, task: RunTask, artifact: str, row: JsonObject
) -> dict[str, Any] | None:
    """Return the seed or earlier row of an artifact that is nearest to a row by ROUGE-L.

    It is what the filter compared the row with, and its score is at most the filter's bound. None
    where the artifact does not hold the row, or nothing came before it.
    """
    rows = task.rows(artifact)
    end = rows.position(row["id"]) if rows else None
    if rows is None or end is None:
        return None
    seeds = tuple(seed_file for _, seed_file in run.files("seeds", "seed_ingest"))
    return _nearest(str(row["instruction"]), _Before(seeds, rows, end))


class _Before:
    """The lines that a filter compared a row with; equal where the lines are."""

    def __init__(self, seeds: tuple[RowFile, ...], rows: RowFile, end: int) -> None:
        self._seeds, self._rows, self._end = seeds, rows, end
        self._digest = (*(one.path for one in seeds), rows.digest_before(end))

    def __iter__(self) -> Iterator[bytes]:
        for seeds in self._seeds:
            yield from seeds.every_line()
        yield from self._rows.lines_before(self._end)

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Before) and other._digest == self._digest


@lru_cache(maxsize=2)
def _nearest(text: str, before: _Before) -> dict[str, Any] | None:
    """Return id, score and text of the row in ``before`` that is nearest to ``text``."""
    from refine_af.dedup.nearest import nearest_texts

    for index, score in nearest_texts(text, _texts(before, "instruction"), 1):
        row = parse_object(next(islice(before, index, None)), "nearest row")
        return {"id": row["id"], "score": score, "text": row["instruction"]}
    return None


def nearest_evaluation(run: Run, row: JsonObject) -> list[dict[str, Any]]:
    """Return the evaluation instances whose input is nearest to a row's text by ROUGE-L.

    The row's text is its instruction and input. Compared with every instance once, whatever the
    number of evaluated models.
    """
    from refine_af.dedup.nearest import nearest_texts

    text = " ".join(str(row[key]) for key in ("instruction", "input") if row.get(key))
    text = text or str(row.get("text", ""))
    _, rows = next(run.files("predictions", "evaluate"), (None, None))
    if rows is None or not text:
        return []
    if any(text_in(line, "input") is None for line in rows.every_line()):
        return []
    nearest = []
    for index, score in nearest_texts(text, _texts(rows.every_line(), "input"), SHOWN):
        prediction = parse_object(next(islice(rows.every_line(), index, None)), str(rows.path))
        nearest.append(
            {key: prediction[key] for key in ("task", "instance", "input")} | {"score": score}
        )
    return nearest


def _texts(lines: Iterable[bytes], field: str) -> Iterator[str]:
    return (text_in(line, field) or "" for line in lines)
