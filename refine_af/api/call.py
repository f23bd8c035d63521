"""Makes a function of a stage: rows become files, the runner runs it, files become rows."""

import tempfile
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from refine_af.api.results import Rows, StageResult, as_mapping
from refine_af.contracts.errors import ParameterError, allowed_names
from refine_af.contracts.jsonl import write_object, write_rows
from refine_af.contracts.records import content_id
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Artifact, Stage
from refine_af.runner import run_stage
from refine_af.targets.python_stubs import PLACES, result_name, takes_rows


def result_class(stage: Stage) -> type[StageResult]:
    """Return the class of a stage's results, with a property for each output."""
    properties = {item.name: _property(item.name, item.summary) for item in stage.outputs}
    about = {"stage": stage, "__doc__": f"What ``{stage.name}`` wrote.", "__module__": __name__}
    return type(result_name(stage), (StageResult,), about | properties)


def _property(name: str, summary: str) -> property:
    return property(lambda result: result.value(name), doc=summary)


def stage_function(stage: Stage, result: type[StageResult]) -> Callable[..., StageResult]:
    """Return the function that runs a stage on rows or paths."""
    signature = _signature(stage)

    def function(*positional: Any, **named: Any) -> StageResult:  # noqa: ANN401
        _check_names(stage, named)
        given = signature.bind(*positional, **named).arguments
        return _run(stage, result, given)

    function.__name__ = function.__qualname__ = stage.name
    function.__doc__ = f"{stage.summary}\n\nSource: {stage.source}"
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _signature(stage: Stage) -> Signature:
    """Return required inputs, which may be positional, then all else by name."""
    needed = [item.name for item in stage.inputs if not item.optional]
    inputs = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in needed]
    optional: dict[str, Any] = {item.name: None for item in stage.inputs if item.optional}
    fields = stage.params.model_fields
    optional |= {name: field.default for name, field in fields.items()}
    optional |= dict.fromkeys(PLACES, "")
    named = [Parameter(name, Parameter.KEYWORD_ONLY, default=v) for name, v in optional.items()]
    return Signature([*inputs, *named])


def _check_names(stage: Stage, named: Mapping[str, Any]) -> None:
    known = [*(item.name for item in stage.inputs), *stage.params.model_fields, *PLACES]
    for name in named:
        if name not in known:
            raise ParameterError(
                f"{stage.name} has no input or parameter {name!r};"
                f"{allowed_names(name, known, 'known')}"
            )


def _run(stage: Stage, result: type[StageResult], given: Mapping[str, Any]) -> StageResult:
    folder = tempfile.TemporaryDirectory(prefix="refine-af-api-", ignore_cleanup_errors=True)
    scratch = Path(folder.name)
    inputs = {
        item.name: _input(item, given[item.name], scratch / f"input-{item.name}")
        for item in stage.inputs
        if given.get(item.name) is not None
    }
    params = {name: given[name] for name in stage.params.model_fields if name in given}
    engine = params.pop("engine") if not isinstance(params.get("engine", ""), str) else None
    for name, value in params.items():
        if takes_rows(stage, name) and not isinstance(value, str):
            params[name] = _rows_file(value, scratch / name, with_ids=False)
    target = Path(given.get("output_dir") or folder.name).absolute()
    written = (*stage.outputs, *EVERY_STAGE_WRITES)
    outputs = {item.name: target / item.name for item in written}
    metrics = run_stage(
        stage,
        inputs=inputs,
        outputs={name: str(path) for name, path in outputs.items()},
        params=params,
        work_dir=str(given.get("work_dir", "")),
        engine=engine,
    )
    return result(metrics, outputs, folder)


def _input(item: Artifact, value: Any, path: Path) -> str:  # noqa: ANN401  as its kind is
    if item.kind == "rows":
        # rows of a declared record get the id that their content makes when they are read
        return _rows_file(value, path, with_ids=item.record is None)
    if item.kind == "json" and isinstance(value, Mapping):
        write_object(path, value)
        return str(path)
    return str(value)


def _rows_file(rows: Rows, path: Path, *, with_ids: bool) -> str:
    if isinstance(rows, str | Path):
        return str(rows)
    values = [as_mapping(row) for row in _records(rows)]
    write_rows(path, map(_with_id, values) if with_ids else values)
    return str(path)


def _records(rows: Any) -> Any:  # noqa: ANN401  a data frame iterates over its columns' names
    """Return the rows of a data frame with None for what is missing; anything else as it is."""
    if not hasattr(rows, "itertuples"):
        return rows
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def _with_id(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with an id; one that has none gets it from its content."""
    return row if "id" in row else {"id": content_id("row", *map(str, row.values()))} | row
