"""Filtering again with other thresholds, from what a run has kept, without a model.

The answers of the model are read again from the artifact ``calls`` and decided by the code that
decided them first, so the same settings give the same bytes and a row has the same id in both.
Other thresholds change what is kept of the answers that there are; they cannot change which
prompts were asked, so a run that had these thresholds from its start would differ.

The result is a folder like that of a run up to the scored instances: ``refine-af export``,
``explain`` and ``refine-af run --from`` read it.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DataError, ParameterError, nearest
from refine_af.contracts.jsonl import dump_line, iter_rows, read_rows, write_object
from refine_af.contracts.records import Instance, Instruction, ModelCall, Rejected, Seed
from refine_af.contracts.stage import Metrics
from refine_af.contracts.stored_rows import RowSpool, stored_rows
from refine_af.dedup.params import FilterParams
from refine_af.engines.text import Completion
from refine_af.lineage.digest_list import write_digest_list
from refine_af.lineage.row_file import RowFile
from refine_af.lineage.run import ARTIFACTS, CONFIGURATION, Run, RunTask
from refine_af.runner import run_stage
from refine_af.self_instruct.bootstrap import Round
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams
from refine_af.stages.dedup_filter import MORE
from refine_af.stages.generate_instructions import Found, known_texts, write_found
from refine_af.storage.entry import canonical
from refine_af.storage.manifest import digest_file

CHANGEABLE = {
    "generate_instructions": (
        "max_rouge_l",
        "tokens",
        "known_uri",
        "parity",
        "alpaca_keywords",
        "drop_statements",
    ),
    "dedup_filter": tuple(FilterParams.model_fields),
}
"""Parameters that decide about answers which are already there, by stage."""

Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Refilter:
    """One filtering again.

    Attributes:
        run: Where the history is.
        output: New folder.
        changes: Values instead of the run's own, by stage and parameter.
        min_total: Least total reward of an instance; None keeps what the run kept.
    """

    run: Run
    output: Path
    changes: Changes
    min_total: float | None = None


def refilter(asked: Refilter) -> dict[str, Metrics]:
    """Write the folder and return the metrics of each task that decided again.

    Raises:
        ParameterError: For a parameter that does not decide about answers, or an output folder
            that is not empty.
        DataError: When the run keeps no answers.
    """
    _check(asked)
    artifacts = asked.output / ARTIFACTS
    artifacts.mkdir(parents=True, exist_ok=True)
    for task in asked.run.of("check_inputs", "seed_ingest"):
        _copy(task, [name for name, _ in task.artifacts()], artifacts / task.name)
    if asked.run.spec:
        write_object(asked.output / CONFIGURATION, asked.run.spec)
    shards = asked.run.of("generate_instructions")
    counts = {task.name: _decide_again(asked, task, artifacts / task.name) for task in shards}
    filters = asked.run.of("dedup_filter")
    counts |= {task.name: _filter_again(asked, task, shards, artifacts) for task in filters}
    kept = artifacts / filters[0].name / "kept" if filters else None
    instructions = {row_id for row_id, _ in RowFile(kept).parents()} if kept else set()
    digests = {"instructions": digest_file(kept)} if kept else {}
    for task in asked.run.of("generate_instances"):
        _instances_of(task, instructions, digests, artifacts / task.name)
    for task in asked.run.of("score_rewards"):
        counts[task.name] = _choose_again(asked, task, instructions, digests, artifacts)
    write_digest_list(asked.output)
    return counts


def _check(asked: Refilter) -> None:
    for stage, values in asked.changes.items():
        if stage not in CHANGEABLE:
            raise ParameterError(
                f"{stage}: its rows are not decided again;{nearest(stage, list(CHANGEABLE))}"
                f" stages: {', '.join(CHANGEABLE)}"
            )
        for name in values:
            if name not in CHANGEABLE[stage]:
                allowed = list(CHANGEABLE[stage])
                raise ParameterError(
                    f"{stage}.{name} does not decide about answers that are there;"
                    f"{nearest(name, allowed)} allowed: {', '.join(allowed)}"
                )
    if asked.output.exists() and any(asked.output.iterdir()):
        raise ParameterError(f"--output {asked.output}: it is not empty; name a new folder")
    if not any(asked.run.files("calls", "generate_instructions")):
        raise DataError(
            f"{asked.run.uri}: generate_instructions has left no artifact `calls`, so there is"
            " nothing to decide again; runs of an older version did not keep it"
        )


def _decide_again(asked: Refilter, task: RunTask, folder: Path) -> Metrics:
    """Parse and filter the answers of one shard."""
    given = task.params | dict(asked.changes.get(task.stage.name, {}))
    params = BootstrapParams.parse(given, where=task.stage.name)
    if params.task_rating != "none":
        raise ParameterError(
            f"{task.name}: the run chose instructions by task_rating={params.task_rating!r}, which"
            " needs the model; run that task again instead"
        )
    folder.mkdir()
    (seeds,) = [rows.path for _, rows in asked.run.files("seeds", "seed_ingest")]
    decider = Decider(read_rows(seeds, Seed), params, known_texts(params.known_uri, folder))
    calls = stored_rows(_rows(task, "calls").path, ModelCall)
    outcome = Found(
        RowSpool(Instruction.model_validate_json),
        RowSpool(Rejected.model_validate_json),
        calls=calls,
    )
    for answers, rows in _decided(decider, calls, params):
        kept = [row for row in rows if isinstance(row, Instruction)]
        dropped = [row for row in rows if isinstance(row, Rejected)]
        outcome.take(answers, Round(kept, dropped))
    outputs = {item.name: folder / item.name for item in task.stage.outputs}
    metrics = write_found(outcome, len(outcome.calls), outputs)
    inputs = {"seeds": digest_file(seeds), "calls": digest_file(outputs["calls"])}
    _describe(folder, task, params.method_values(), inputs, metrics)
    return metrics


def _decided(
    decider: Decider, calls: Iterable[ModelCall], params: BootstrapParams
) -> Iterator[tuple[list[Completion], list[Instruction | Rejected]]]:
    """Yield the answers of each round with their rows, in order."""
    rows = decider.decide_all(lambda: map(_answer, count(), calls))
    left = iter(calls)
    while calls_of_round := list(islice(left, params.round_size)):
        decided = chain.from_iterable(islice(rows, len(calls_of_round)))
        yield [_completion(call) for call in calls_of_round], list(decided)


def _copy(task: RunTask, names: Iterable[str], folder: Path) -> None:
    """Copy those of the task's files that are there."""
    folder.mkdir()
    for name in names:
        path = task.path(name)
        if path is not None:
            shutil.copy(path, folder / name)


def _rows(task: RunTask, name: str) -> RowFile:
    rows = task.rows(name)
    if rows is None:
        raise DataError(f"{task.uri}: {task.name} has left no artifact {name}")
    return rows


def _answer(number: int, call: ModelCall) -> Answer:
    return Answer(number, call.parents, call.answer, call.finish, call.error)


def _completion(call: ModelCall) -> Completion:
    return Completion(call.request, call.answer, call.finish, call.prompt_tokens, call.tokens)


def _filter_again(
    asked: Refilter, task: RunTask, shards: list[RunTask], artifacts: Path
) -> Metrics:
    """Run the filter's stage on the shards that were decided again, with the run's parameters."""
    files = [artifacts / shard.name / "instructions" for shard in shards]
    names = ("candidates", *MORE)
    inputs = {name: str(path) for name, path in zip(names, files, strict=False)}
    inputs["pool"] = str(artifacts / "seed_ingest" / "seeds")
    folder = artifacts / task.name
    outputs = {item: str(folder / item) for item in ("kept", "rejected", "metrics", "provenance")}
    given = task.params | dict(asked.changes.get(task.stage.name, {}))
    return run_stage(task.stage.name, inputs=inputs, outputs=outputs, params=given)


def _instances_of(
    task: RunTask, instructions: set[str], digests: Mapping[str, str], folder: Path
) -> None:
    """Copy the instances of instructions that stay, and everything that was dropped before."""
    _copy(task, ("rejected", "calls", "telemetry"), folder)
    kept = 0
    with (folder / "instances").open("wb") as sink:
        for parents, line in _rows(task, "instances").lines():
            if parents[0] in instructions:
                sink.write(line)
                kept += 1
    inputs = {name: task.input_digests[name] for name in ("adapter",) if name in task.input_digests}
    _describe(folder, task, task.params, inputs | dict(digests), {"instances": kept})


def _choose_again(
    asked: Refilter,
    task: RunTask,
    instructions: set[str],
    digests: Mapping[str, str],
    artifacts: Path,
) -> Metrics:
    """Keep the scored instances whose instruction stays and whose total is high enough."""
    folder = artifacts / task.name
    folder.mkdir()
    refused = task.path("rejected")
    rows = rejected = 0
    with (
        (folder / "scored").open("wb") as scored,
        (folder / "rejected").open("w", encoding="utf-8", newline="\n") as sink,
    ):
        for row in iter_rows(refused, Rejected) if refused else ():
            sink.write(dump_line(row))
            rejected += 1
        for parents, line in _rows(task, "scored").lines():
            refusal = _refusal(line, parents, instructions, asked.min_total)
            if refusal is None:
                scored.write(line)
                rows += 1
            else:
                sink.write(dump_line(refusal))
                rejected += 1
    metrics: Metrics = {"rows": rows, "rejected": rejected}
    params = task.params | {"min_total": asked.min_total}
    _describe(folder, task, params, digests, metrics)
    return metrics


def _refusal(
    line: bytes, parents: tuple[str, ...], instructions: set[str], min_total: float | None
) -> Rejected | None:
    """Return why an instance is dropped; None for one that stays."""
    stays = bool(parents) and parents[0] in instructions
    if stays and min_total is None:
        return None
    row = Instance.model_validate_json(line)
    if parents and not stays:
        return _rejected(row, "instruction_dropped", f"its instruction {parents[0]} is not kept")
    if min_total is not None and (row.total is None or row.total < min_total):
        detail = f"total {row.total} is below the threshold {min_total:.6g}"
        return _rejected(row, "below_threshold", detail)
    return None


def _rejected(row: Instance, reason: str, detail: str) -> Rejected:
    return Rejected.make(
        "score_rewards", reason, row.output, (row.id,), score=row.total, detail=detail
    )


def _describe(
    folder: Path,
    task: RunTask,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
    metrics: Metrics,
) -> None:
    """Write metrics, and provenance that says that the rows were decided again."""
    provenance = task.provenance | {
        "params": dict(params),
        "inputs": dict(inputs),
        "decided_again": True,
    }
    (folder / "provenance").write_bytes(canonical(provenance) + b"\n")
    write_object(folder / "metrics", metrics)
