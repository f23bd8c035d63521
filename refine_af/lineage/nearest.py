"""Nearest rows of a run, computed on demand for a passport."""

from functools import lru_cache
from typing import Any

from refine_af.contracts.jsonl import JsonObject, parse_object
from refine_af.lineage.row_file import texts_in
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
    before = rows.before(row["id"]) if rows else None
    if before is None:
        return None
    seeds = b"".join(seed_file.content for _, seed_file in run.files("seeds", "seed_ingest"))
    return _nearest(str(row["instruction"]), seeds + before)


@lru_cache(maxsize=2)
def _nearest(text: str, content: bytes) -> dict[str, Any] | None:
    """Return id, score and text of the row in ``content`` that is nearest to ``text``."""
    from refine_af.dedup.nearest import nearest_texts

    for index, score in nearest_texts(text, texts_in(content, "instruction"), 1):
        row = parse_object(content.split(b"\n")[index], "nearest row")
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
    lines = [line for line in rows.content.split(b"\n") if line]
    inputs = texts_in(rows.content, "input")
    if len(inputs) != len(lines):
        return []
    nearest = []
    for index, score in nearest_texts(text, inputs, SHOWN):
        prediction = parse_object(lines[index], str(rows.path))
        nearest.append(
            {key: prediction[key] for key in ("task", "instance", "input")} | {"score": score}
        )
    return nearest
