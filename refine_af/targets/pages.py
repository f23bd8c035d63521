"""The reference page and the catalogue entry of a component."""

from refine_af.contracts.params import choices, scalar_type
from refine_af.contracts.stage import EVERY_STAGE_WRITES, Artifact, Stage
from refine_af.contracts.yaml_text import yaml_text

CUSTOM = "<!-- custom-content -->"
"""What stands below this line of a page is written by hand and kept."""

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
        f"| `{item.name}` | {item.kind} | {item.summary}{' Optional.' if item.optional else ''} |"
        for item in items
    ]
    return ["| name | kind | what |", "| --- | --- | --- |", *rows]


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
