"""``refine_af/api/stages.pyi``: the type of each stage's function, from the stage's declaration."""

import json
from collections.abc import Iterator

from refine_af.contracts.params import Scalar, choices, declared, scalar_type
from refine_af.contracts.stage import Artifact, Stage
from refine_af.engines.params import EngineParams

HEAD = '''# Written by make gen: do not edit.
"""Every stage as a function on rows or paths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from refine_af.api.results import Rows, StageResult, Table
from refine_af.contracts.records import {records}
from refine_af.engines.text import TextEngine
'''
PLACES = {  # what every function takes beside inputs and parameters
    "output_dir": "Folder that keeps the outputs; without it they go with the result.",
    "work_dir": "Path or URI of the journals: with it, the same call continues where one stopped.",
}


def stubs(stages: tuple[Stage, ...]) -> str:
    """Return the file's text."""
    records = {
        item.record.__name__
        for stage in stages
        for item in stage.outputs
        if item.record is not None
    }
    lines = HEAD.format(records=", ".join(sorted(records))).splitlines()
    for stage in stages:
        lines += ["", *_result(stage), "", *_function(stage)]
    return "\n".join(lines) + "\n"


def result_name(stage: Stage) -> str:
    """Return the name of the class of a stage's results: ``DedupFilterResult``."""
    return "".join(word.capitalize() for word in stage.name.split("_")) + "Result"


def _result(stage: Stage) -> Iterator[str]:
    yield f"class {result_name(stage)}(StageResult):"
    yield f'    """What ``{stage.name}`` wrote."""'
    for item in stage.outputs:
        yield ""
        yield "    @property"
        yield f"    def {item.name}(self) -> {_output_type(item)}:"
        yield f'        """{_sentence(item.summary)}"""'


def _output_type(item: Artifact) -> str:
    if item.kind == "rows":
        return f"Table[{item.record.__name__ if item.record else 'dict[str, Any]'}]"
    return {"json": "dict[str, Any]", "parameter": "str"}.get(item.kind, "Path")


def _function(stage: Stage) -> Iterator[str]:
    needed = [item for item in stage.inputs if not item.optional]
    others = [item for item in stage.inputs if item.optional]
    yield f"def {stage.name}("
    yield from (f"    {item.name}: {_input_type(item)}," for item in needed)
    yield "    *,"
    yield from (f"    {item.name}: {_input_type(item)} | None = None," for item in others)
    for name, field in stage.params.model_fields.items():
        default = "" if field.is_required() else f" = {_literal(field.default)}"
        yield f"    {name}: {_parameter_type(stage, name)}{default},"
    yield from (f'    {name}: str | Path = "",' for name in PLACES)
    yield f") -> {result_name(stage)}:"
    yield f'    """{_sentence(stage.summary)}'
    yield ""
    yield "    Args:"
    for item in (*needed, *others):
        yield f"        {item.name}: {item.summary}"
    for name, field in stage.params.model_fields.items():
        yield f"        {name}: {_escaped(field.description or '')}"
    yield from (f"        {name}: {text}" for name, text in PLACES.items())
    yield '    """'


def _input_type(item: Artifact) -> str:
    return {"rows": "Rows", "json": "Mapping[str, Any] | str | Path"}.get(item.kind, "str | Path")


def _parameter_type(stage: Stage, name: str) -> str:
    field = stage.params.model_fields[name]
    words = choices(field.annotation)
    if name == "engine" and issubclass(stage.params, EngineParams):
        return f"TextEngine | Literal[{', '.join(map(_literal, words))}]"
    if takes_rows(stage, name):
        return "Rows"
    if words:
        return f"Literal[{', '.join(map(_literal, words))}]"
    return scalar_type(field.annotation).__name__


def takes_rows(stage: Stage, name: str) -> bool:
    """Tell whether a parameter names a file of rows, in whose place rows may be given."""
    return name.endswith("_uri") and declared(stage.params.model_fields[name])["names"] == "file"


def _literal(value: Scalar) -> str:
    """Return a value as Python source, text in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _sentence(text: str) -> str:
    return _escaped(text if text.endswith(".") else f"{text}.")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")
