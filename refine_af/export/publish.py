"""One folder with data, page, provenance and configuration, published as a whole."""

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.jsonl import write_object
from refine_af.contracts.yaml_text import yaml_text
from refine_af.export.card import DataFile, Written, data_card
from refine_af.export.formats import Format, write_data
from refine_af.export.licence import Terms
from refine_af.export.source import Source
from refine_af.export.splits import split_rows
from refine_af.stages import STAGES
from refine_af.storage.manifest import digest_file
from refine_af.storage.schemes import open_store

CONFIG_FILE = "run.yaml"


@dataclass(frozen=True, slots=True)
class Export:
    """What is asked for.

    Attributes:
        form: The shape of the rows.
        template: Words around a row, for ``prompt-completion``.
        output: Folder or URI.
        options: Further options of the command that the page shall repeat.
        test_share: About which share of the rows the test split holds; 0 makes none.
    """

    form: Format
    template: str
    output: str
    options: Mapping[str, str]
    test_share: float = 0.0


def publish(source: Source, terms: Terms, export: Export) -> Written:
    """Write the folder and put it in place of an earlier export in one step.

    Raises:
        ParameterError: When ``output`` is a folder with something else in it.
    """
    _refuse_foreign(export.output)
    with tempfile.TemporaryDirectory(prefix="refine-af-export-") as scratch:
        folder = Path(scratch) / "data-set"
        (folder / "data").mkdir(parents=True)
        written = _write_splits(source, export, folder / "data")
        if source.config is not None:
            text = yaml_text(portable(source.config))
            (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        if source.provenance:
            write_object(folder / "provenance.json", source.provenance)
        page = data_card(source, terms, written, commands(source, export))
        (folder / "README.md").write_text(page, encoding="utf-8", newline="\n")
        open_store(export.output).publish_directory(export.output, folder)
    return written


def _write_splits(source: Source, export: Export, folder: Path) -> Written:
    splits = split_rows(source.instances, export.test_share, source.roots)
    files = {}
    for name, rows in (("train", splits.train), ("test", splits.test)):
        if rows:
            path = write_data(rows, export.form, export.template, folder, name)
            files[name] = DataFile(f"data/{path.name}", digest_file(path), len(rows))
    return Written(files, export.form, export.template)


def commands(source: Source, export: Export) -> list[str]:
    """Return the commands that make the data set again."""
    options = {"format": export.form, **export.options}
    if export.test_share:
        options["test-share"] = f"{export.test_share:g}"
    if export.form == "prompt-completion":
        options["template"] = export.template
    if source.config is None:
        given = ["--instances", "INSTANCES", *(["--seeds", "SEEDS"] if source.seeds else [])]
        return [_command(["export", *given], options)]
    return [
        _command(["run", "--config", CONFIG_FILE, "--output-dir", "run"], {}),
        _command(["export", "--run", "run", "--arm", source.arm], options),
    ]


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with every parameter of every stage, and no folder of one machine.

    Complete, because a file is laid over a preset and would otherwise take values from it. What
    the pipeline itself hands to all tasks stays out of the stages: there it would win over it.
    """
    from refine_af.pipelines.config import PIPELINE_PARAMETERS

    shared = config.get("parameters", {}).items()
    stages: dict[str, dict[str, Any]] = {}
    for stage in STAGES:
        own = config.get("stages", {}).get(stage.name, {})
        values = {
            name: field.default
            for name, field in stage.params.model_fields.items()
            if name not in PIPELINE_PARAMETERS and not field.is_required()
        }
        stages[stage.name] = {
            name: _without_folder(value) for name, value in (values | own).items()
        }
    return {
        **config,
        "parameters": {name: _without_folder(v) for name, v in shared if name != "work_dir"},
        "stages": stages,
    }


def _without_folder(value: object) -> object:
    """Return a local path's name, and any other value as it is."""
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return Path(value).name
    return value


def _refuse_foreign(output: str) -> None:
    folder = Path(output)
    if "://" in output or not folder.exists():
        return
    ours = folder.is_dir() and (not any(folder.iterdir()) or (folder / "data").is_dir())
    if not ours:
        raise ParameterError(
            f"--output {output}: there is something else; name a new folder or an earlier export"
        )


def _command(words: list[str], options: Mapping[str, str]) -> str:
    words = ["refine-af", *words]
    for name, value in options.items():
        words += [f"--{name}", value]
    if words[1] == "export":
        words += ["--output", "data-set"]
    return shlex.join(words)
