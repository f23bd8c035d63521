"""The passport of one row: everything that the run knows of its origin and its use.

A passport is plain JSON. Rows are looked up by their bytes (:mod:`refine_af.lineage.row_file`), so
that a run of 50,000 rows answers within a second. Two things are computed on demand, because no
artifact holds them: the nearest row of a row that was kept, and the nearest evaluation rows.
"""

from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import JsonObject
from refine_af.lineage.ancestry import NO_OFFSPRING, ancestors, seeds_among
from refine_af.lineage.nearest import nearest_before, nearest_evaluation
from refine_af.lineage.row_file import spelled
from refine_af.lineage.run import Run, RunTask
from refine_af.lineage.use import episodes_of, trainings_of

JsonList = list[dict[str, Any]]

ENGINE_FACTS = ("model", "model_digest", "engine", "dtype", "chat", "quantization", "base_url")
TURN = ("phase", "policy_seed", "update", "episode", "step")
"""Fields of an operation that name its calls."""
_FILTERS = {"dedup_filter": "kept", "score_rewards": "scored"}
"""Stages that judge rows of an earlier one, and their artifact of kept rows."""


def passport(run: Run, row_id: str) -> dict[str, Any]:
    """Return what is known of a row, kept or dropped.

    Keys: ``id``, ``run``, ``history`` (the row and the rows that it goes back to in one line of
    steps, newest first, each with its ``writing`` and ``verdicts``), ``seeds``, ``parents``,
    ``reward``, ``ppo``, ``sft``, ``evaluation`` and ``made_from_it``.

    Raises:
        ParameterError: When the run has no row of that id.
    """
    history = [_chapter(run, ancestor) for ancestor in _line(run, row_id)]
    instruction = next((row for row in history if row["id"].startswith("ins-")), None)
    instance = next((row["id"] for row in history if row["id"].startswith("pair-")), None)
    first = history[-1]["row"]
    return {
        "id": row_id,
        "run": run.uri,
        "history": history,
        "seeds": seeds_among(run, ancestors(run, first.get("parents") or [row_id])),
        "parents": [_brief(run, parent) for parent in first.get("parents", [])],
        "reward": _rewards(run, instance),
        "ppo": episodes_of(run, instruction["id"]) if instruction else [],
        "sft": trainings_of(run, instance) if instance else [],
        "evaluation": nearest_evaluation(run, history[0]["row"]),
        "made_from_it": _made_from(run, row_id),
    }


def find_row(run: Run, row_id: str) -> tuple[RunTask, str, JsonObject]:
    """Return task, artifact and row where the row stands first in the order of the DAG.

    Raises:
        ParameterError: When the run has no row of that id.
    """
    for task, name, rows in run.every_file():
        row = rows.row(row_id) if name != "calls" or row_id.startswith("call-") else None
        if row is not None:
            return task, name, row
    raise ParameterError(
        f"{row_id!r} is not a row of {run.uri}; give an id from one of its artifacts, such as kept"
        " of dedup_filter"
    )


def _line(run: Run, row_id: str) -> list[str]:
    """Return the row and those that it is a later form of: rejection, instance, instruction."""
    line = [row_id]
    while True:
        _, _, row = find_row(run, line[-1])
        parents = row.get("parents", [])
        own = len(parents) == 1 and not parents[0].startswith("seed-")
        if not own or line[-1].startswith(("ins-", "seed-", "call-")):
            return line
        line.append(parents[0])


def _chapter(run: Run, row_id: str) -> dict[str, Any]:
    task, name, row = find_row(run, row_id)
    writers = [
        writer
        for writer, artifact, rows in run.every_file()
        if artifact == name and writer.stage is task.stage and rows.row(row_id) is not None
    ]
    return {
        "id": row_id,
        "first_in": f"{task.name}/{name}",
        "row": row,
        "writing": [made for writer in writers if (made := _writing(writer, row)) is not None],
        "verdicts": _verdicts(run, writers, row),
    }


def _writing(task: RunTask, row: JsonObject) -> dict[str, Any] | None:
    """Return how the model was asked and what it said; None for rows that no model wrote."""
    if "engine" not in task.params or row.get("policy") == "seed":
        return None
    operation = _operation(task, row)
    calls, request = task.rows("calls"), _request(row, operation)
    call = None
    if calls is not None and request:
        call = next(calls.lines_with(b'"request": ' + spelled(request)), None)
    return {
        "task": task.name,
        **{key: task.params[key] for key in ENGINE_FACTS if key in task.params},
        "adapter_digest": task.input_digests.get("adapter", ""),
        "code": task.provenance.get("code", ""),
        "libraries": task.json("telemetry").get("engine", {}),
        "call": call,
        "operation": operation,
    }


def _operation(task: RunTask, row: JsonObject) -> JsonObject | None:
    """Return the textual operation that made a row, where operations are kept (``trace``)."""
    trace, parents = task.rows("trace"), row.get("parents", [])
    if trace is None or len(parents) != 1:
        return None
    text = row.get("instruction", row.get("text"))
    return next((step for step in trace.children(parents[0]) if step.get("text") == text), None)


def _request(row: JsonObject, operation: JsonObject | None) -> str:
    """Return the name of the model call that a row came of; see ``ModelCall.request``."""
    if operation is not None:
        return "/".join(str(operation[key]) for key in TURN) + "/rewrite"
    if row.get("request") and isinstance(row["request"], str):
        return str(row["request"])
    if row["id"].startswith("ins-") and "shard" in row:
        return f"shard-{row['shard']}-request-{row['request']}"
    if row["id"].startswith("pair-") and row.get("parents"):
        return f"{row['parents'][0]}/{row['sample']}"
    return ""


def _verdicts(run: Run, writers: list[RunTask], row: JsonObject) -> JsonList:
    """Return each filter's decision about a row, in the order of the DAG."""
    if "reason" in row:
        return [_dropped(run, task.name, row) for task in writers]
    verdicts: JsonList = []
    for task in run.tasks:
        dropped = task.rows("rejected") if task.stage.name in _FILTERS else None
        refusals = dropped.children(row["id"]) if dropped else []
        verdicts += [_dropped(run, task.name, refusal) for refusal in refusals]
        if not refusals and (kept := _kept(run, task, row, task in writers)):
            verdicts.append(kept)
    return verdicts


def _dropped(run: Run, task: str, row: JsonObject) -> dict[str, Any]:
    near = row.get("neighbour")
    return {
        "task": task,
        "verdict": "dropped",
        "reason": row["reason"],
        "rejection": row["id"],
        "neighbour": _brief(run, near) if near else None,
        "score": row.get("score"),
        "detail": row.get("detail", ""),
    }


def _kept(run: Run, task: RunTask, row: JsonObject, wrote: bool) -> dict[str, Any] | None:
    artifact = _FILTERS.get(task.stage.name) or ("instructions" if wrote else "")
    rows = task.rows(artifact) if artifact else None
    if not wrote and (rows is None or rows.row(row["id"]) is None):
        return None
    verdict: dict[str, Any] = {"task": task.name, "verdict": "kept"}
    if "max_rouge_l" in task.params and "text" not in row:
        verdict["nearest"] = nearest_before(run, task, artifact, row)
        verdict["bound"] = task.params["max_rouge_l"]
    return verdict


def _rewards(run: Run, instance: str | None) -> JsonList:
    rewards: JsonList = []
    for task, rows in run.files("scored") if instance else ():
        row = rows.row(instance or "")
        if row is not None and row.get("total") is not None:
            preset = task.params.get("reward", "")
            rewards.append(
                {"task": task.name, "preset": preset, "total": row["total"], "parts": row["parts"]}
            )
    return rewards


def _made_from(run: Run, row_id: str) -> JsonList:
    """Return rows made from this row alone, and how many prompts showed it among others."""
    made: JsonList = []
    for task, name, rows in run.every_file():
        if name in NO_OFFSPRING:
            continue
        alone = rows.children(row_id)
        ids = [child["id"] for child in alone]
        if ids:
            made.append({"artifact": f"{task.name}/{name}", "rows": len(ids), "ids": ids[:10]})
    return made


def _brief(run: Run, row_id: str) -> dict[str, Any]:
    """Return id and text of a row; the id alone for a row from outside the run (known texts)."""
    try:
        _, _, row = find_row(run, row_id)
    except ParameterError:
        return {"id": row_id, "text": None}
    return {"id": row_id, "text": row.get("instruction", row.get("text"))}
