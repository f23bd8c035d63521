"""The reference page and the catalogue entry of a component."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from refine_af.contracts.params import choices, scalar_type
from refine_af.contracts.records import Row
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Artifact, Stage
from refine_af.contracts.yaml_text import yaml_text

CUSTOM = "<!-- custom-content -->"
"""The text below this line of a page is written by hand and kept."""

VERIFIED = "2026-11-29T00:00:00Z"
"""When the components last ran on a real KFP backend."""

OWNERS = ("refine-af-maintainers",)


def page(stage: Stage, custom: str, version: str) -> str:
    """Return ``components/<stage>/README.md``; ``custom`` is the part written by hand."""
    lines = [
        f"# {stage.name}",
        "",
        stage.summary,
        "",
        f"Source: {stage.source}",
        "",
        f"Image `refine-af-{stage.name}:{version}` (base `{stage.image}`), "
        f"{stage.resources.cpu} CPU, {stage.resources.memory}, "
        f"{'GPU by profile' if stage.resources.gpu else 'no GPU'}.",
        "",
        "## Inputs",
        "",
        *_artifacts(stage.inputs),
        "",
        "## Outputs",
        "",
        *_artifacts(stage.outputs),
        "",
        "Written by every stage:",
        "",
        *_artifacts(EVERY_STAGE_WRITES),
        "",
        *_columns(stage),
        "## Parameters",
        "",
        *_parameters(stage),
        "",
        "## Use it alone",
        "",
        "```python",
        "from kfp import components",
        "",
        f'path = "components/{stage.name}/component.yaml"',
        f"{stage.name} = components.load_component_from_file(path)",
        "```",
        "",
        "```console",
        f"$ refine-af {stage.command} --help",
        "```",
        "",
        CUSTOM,
        "",
    ]
    return "\n".join(lines) + custom


def _artifacts(items: tuple[Artifact, ...]) -> list[str]:
    if not items:
        return ["None."]
    rows = [
        f"| `{item.name}` | {_kind(item)} | {item.summary}{' Optional.' if item.optional else ''} |"
        for item in items
    ]
    return ["| name | kind | what |", "| --- | --- | --- |", *rows]


def _kind(item: Artifact) -> str:
    return f"rows of {item.record.__name__}" if item.record else item.kind


def _columns(stage: Stage) -> list[str]:
    """Return a table for each record that the stage reads or writes."""
    records = {item.record for item in (*stage.inputs, *stage.outputs) if item.record}
    lines: list[str] = []
    for record in sorted(records, key=lambda record: record.__name__):
        lines += ["", f"### {record.__name__}", "", *columns(record)]
    return ["## Columns", *lines, ""] if lines else []


def columns(record: type[Row]) -> list[str]:
    """Return the table of a record's columns."""
    lines = ["| column | type | |", "| --- | --- | --- |"]
    for name, field in record.model_fields.items():
        needed = "required" if field.is_required() else ""
        lines.append(f"| `{name}` | {type_name(field.annotation)} | {needed} |")
    return lines


def type_name(annotation: Any) -> str:  # noqa: ANN401  what a field's annotation may be
    """Return a column's type in words for a page, such as ``list of str``."""
    outer, parts = get_origin(annotation), get_args(annotation)
    if outer is Literal:
        return " or ".join(f"`{word}`" for word in parts)
    if outer is Annotated:
        return type_name(parts[0])
    if outer in (tuple, list):
        return f"list of {type_name(parts[0])}"
    if outer in (dict, Mapping):
        return f"object of {type_name(parts[1])}"
    if parts:
        return " or ".join(type_name(part) for part in parts)
    return "null" if annotation is type(None) else str(annotation.__name__)


def _parameters(stage: Stage) -> list[str]:
    rows = ["| name | type | default | what | source |", "| --- | --- | --- | --- | --- |"]
    for name, field in stage.params.model_fields.items():
        words = choices(field.annotation)
        kind = " \\| ".join(words) if words else scalar_type(field.annotation).__name__
        default = "required" if field.is_required() else f"`{field.default!r}`"
        extra = field.json_schema_extra
        source = extra["source"] if isinstance(extra, dict) else ""
        rows.append(f"| `{name}` | {kind} | {default} | {field.description} | {source} |")
    return rows


def metadata(stage: Stage) -> str:
    """Return ``components/<stage>/metadata.yaml``, as kubeflow/pipelines-components wants it."""
    gpu = "gpu" if stage.resources.gpu else "cpu"
    entry = {
        "name": stage.name,
        "description": stage.summary,
        "stability": "alpha",
        "dependencies": {"kubeflow": [{"name": "Pipelines", "version": ">=2.17.0"}]},
        "tags": ["instruction-data", "refine-af", f"base-{stage.image}", gpu],
        "lastVerified": VERIFIED,
    }
    return "# Written by make gen: do not edit.\n" + yaml_text(entry)


def owners() -> str:
    """Return ``components/<stage>/OWNERS``."""
    return yaml_text({"approvers": list(OWNERS), "reviewers": list(OWNERS)})


def reexport(stage: Stage) -> str:
    """Return ``components/<stage>/__init__.py``."""
    return (
        f'"""KFP component ``{stage.name}``."""\n\n'
        f"from .component import {stage.name} as {stage.name}\n"
    )
