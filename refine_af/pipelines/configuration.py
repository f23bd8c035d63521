"""``refine-af config``: the schema of a configuration file, resolved values, and differences."""

import json
from pathlib import Path
from typing import Any

import click

from refine_af.contracts.params import shown
from refine_af.pipelines.config import (
    DEFAULTS,
    PIPELINE_PARAMETERS,
    RunConfig,
    base_preset,
    load_config,
    preset_names,
)
from refine_af.pipelines.tasks import PlannedTask, planned
from refine_af.stages import STAGES

SCHEMA_LINE = "# yaml-language-server: $schema={name}"
"""First line of a configuration file by which editors find the schema."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file for --config: every key, range and description."""
    schema = RunConfig.model_json_schema()
    properties = schema["properties"]
    properties["base"] = {
        "enum": preset_names(),
        "description": "Preset that the file is laid over, in place of --preset.",
    }
    properties["parameters"] = _object(
        {
            name: {"description": text, "default": DEFAULTS[name]}
            for name, text in PIPELINE_PARAMETERS.items()
        },
        "Values of the pipeline; every stage that has a parameter of the name gets them.",
    )
    properties["stages"] = _object(
        {stage.name: _stage_schema(stage.params, stage.summary) for stage in STAGES},
        "Parameters of single stages; they win over those of the pipeline.",
    )
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "refine-af run"}
    return about | {key: value for key, value in schema.items() if key != "title"}


def _stage_schema(params: Any, summary: str) -> dict[str, Any]:  # noqa: ANN401  a Params class
    own = params.model_json_schema()
    hidden = {"title", "names", "digest", "opened_by", "method"}
    fields = {
        name: {key: value for key, value in about.items() if key not in hidden}
        for name, about in own.get("properties", {}).items()
    }
    return _object(fields, summary)


def _object(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "description": description,
        "properties": properties,
    }


def resolved_values(
    preset: str, config: str, assignments: tuple[str, ...]
) -> dict[str, tuple[Any, str]]:
    """Return value and source of every parameter of every task, by ``task.parameter``.

    The source is ``derived`` (the pipeline sets it), ``--set``, ``file``, ``preset`` or
    ``default``: the first of them that gives the value.
    """
    layers = {"preset": load_config(base_preset(preset, config), "")}
    if config:
        layers["file"] = load_config(preset, config)
    last = list(layers.values())[-1]
    if assignments:
        layers["--set"] = last.with_values(assignments)
    values: dict[str, tuple[Any, str]] = {}
    for task in planned(list(layers.values())[-1]):
        for name, value in task.params.model_dump().items():
            values[f"{task.name}.{name}"] = (value, _source(task, name, layers))
    return values


def _source(task: PlannedTask, name: str, layers: dict[str, RunConfig]) -> str:
    if name in task.own:
        return "derived"
    source, before = "default", None
    for layer, config in layers.items():
        given = config.stages.get(task.stage.name, {}).get(name, config.parameters.get(name))
        if given is not None and given != before:
            source, before = layer, given
    return source


PRESET = click.option("--preset", default="quickstart", show_default=True, help="A preset.")
CONFIG = click.option("-c", "--config", default="", metavar="FILE", help="YAML over the preset.")
SET = click.option("--set", "assignments", multiple=True, metavar="STAGE.PARAM=VALUE")


@click.group("config")
def config_commands() -> None:
    """Show, compare and describe configurations of a run."""


@config_commands.command("schema")
@click.option("-o", "--output", default="", metavar="FILE", help="Default: standard output.")
def schema_command(output: str) -> None:
    """Write the JSON Schema of a --config file, for editors."""
    text = json.dumps(json_schema(), indent=1) + "\n"
    if not output:
        click.echo(text, nl=False)
        return
    Path(output).write_text(text, encoding="utf-8")
    line = SCHEMA_LINE.format(name=Path(output).name)
    click.echo(f"{output}: put this line first into your YAML file:\n{line}")


@config_commands.command("show")
@PRESET
@CONFIG
@SET
@click.option("--all", "every", is_flag=True, help="Defaults too.")
def show_command(preset: str, config: str, assignments: tuple[str, ...], every: bool) -> None:
    """Print the resolved values, each with its source: preset, file, --set or derived."""
    for name, (value, source) in resolved_values(preset, config, assignments).items():
        if every or source != "default":
            click.echo(f"{name} = {shown(value)}  ({source})")


@config_commands.command("diff")
@click.argument("first")
@click.argument("second")
def diff_command(first: str, second: str) -> None:
    """Print what differs between two configurations, each a preset's name or a file."""
    before, after = _values(first), _values(second)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            click.echo(f"{name}: {_cell(before, name)} -> {_cell(after, name)}")


def _values(preset_or_file: str) -> dict[str, Any]:
    known = preset_or_file in preset_names()
    values = (
        resolved_values(preset_or_file, "", ())
        if known
        else resolved_values("quickstart", preset_or_file, ())
    )
    return {name: value for name, (value, _) in values.items()}


def _cell(values: dict[str, Any], name: str) -> str:
    return shown(values[name]) if name in values else "absent"
