"""The KFP lightweight component of a stage, as source text: a shim without logic.

KFP serialises a component by the source of its function, so the shim uses no module-level name,
no ``X | None``, no ``Literal`` and no ``from __future__ import annotations`` (each fails).
"""

import textwrap

from refine_af.contracts.params import Scalar, scalar_type
from refine_af.contracts.stage import FINAL_STATUS, Artifact, Stage

KFP_TYPES = {
    "rows": "dsl.Dataset",
    "model": "dsl.Model",
    "folder": "dsl.Artifact",
    "json": "dsl.Artifact",
    "html": "dsl.HTML",
    "markdown": "dsl.Markdown",
    "records": "dsl.Artifact",
}
RUN_OPTIONS = (
    ("work_dir", "Folder or URI of the journals; a retried task continues from there."),
    ("label", "Tells apart several tasks of this stage in progress reports."),
)


def image_name(stage: Stage, registry: str, tag: str) -> str:
    """Return the reference of the stage's image, without a digest."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}refine-af-{stage.name}:{tag}"


def component_source(stage: Stage, tag: str) -> str:
    """Return the text of ``components/<stage>/component.py``."""
    required = [item for item in stage.taken if not item.optional]
    optional = [item for item in stage.taken if item.optional]
    lines = [f"    {item.name}: dsl.Input[{KFP_TYPES[item.kind]}]," for item in required]
    lines += [_output(item) for item in stage.written]
    lines += ["    metrics: dsl.Output[dsl.Metrics],"] if stage.records else []
    lines += [f"    {name}: {kind}," for name, kind, default in _params(stage) if default is None]
    lines += [f"    {item.name}: dsl.Input[{KFP_TYPES[item.kind]}] = None," for item in optional]
    lines += [
        f"    {name}: {kind} = {_literal(default)},"
        for name, kind, default in _params(stage)
        if default is not None
    ]
    lines += [f'    {name}: str = "",' for name, _ in RUN_OPTIONS]
    return "\n".join(
        [
            f'"""KFP component ``{stage.name}``. Written by ``make gen``: do not edit."""',
            "",
            "from kfp import dsl",
            "",
            "",
            f'@dsl.component(base_image="{image_name(stage, "", tag)}", install_kfp_package=False)',
            f"def {stage.name}(",
            *lines,
            ") -> None:",
            _docstring(stage),
            "    from refine_af.component import run_component",
            "",
            f'    run_component("{stage.name}", locals())',
            "",
        ]
    )


def _output(item: Artifact) -> str:
    if item.kind == "parameter":
        return f"    {item.name}: dsl.OutputPath(str),"
    return f"    {item.name}: dsl.Output[{KFP_TYPES[item.kind]}],"


def _params(stage: Stage) -> list[tuple[str, str, Scalar | None]]:
    rows: list[tuple[str, str, Scalar | None]] = []
    for name, field in stage.params.model_fields.items():
        kind = scalar_type(field.annotation).__name__
        if name == FINAL_STATUS:
            rows.append((name, "dsl.PipelineTaskFinalStatus", None))
            continue
        rows.append((name, kind, None if field.is_required() else field.default))
    return rows


def _literal(value: Scalar | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return repr(value)


def _docstring(stage: Stage) -> str:
    rows = [(item.name, item.summary) for item in stage.taken if not item.optional]
    rows += [(item.name, item.summary) for item in stage.written]
    rows += [("metrics", "Deterministic numbers, for KFP's tables.")] if stage.records else []
    rows += [(item.name, f"{item.summary} Optional.") for item in stage.taken if item.optional]
    rows += [(name, field.description or "") for name, field in stage.params.model_fields.items()]
    rows += list(RUN_OPTIONS)
    source = textwrap.wrap(
        f"Source: {stage.source}", 98, initial_indent=" " * 4, subsequent_indent=" " * 4
    )
    text = [f'    """{stage.summary}', "", *source, "", "    Args:"]
    for name, help_line in rows:
        text += textwrap.wrap(
            f"{name}: {help_line}", 98, initial_indent=" " * 8, subsequent_indent=" " * 12
        )
    return "\n".join([*text, '    """'])
