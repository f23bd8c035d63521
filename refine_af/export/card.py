"""The data set's page: licence, sources, counts, parameters, digests, and how to make it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af import __version__
from refine_af.contracts.yaml_text import yaml_text
from refine_af.export.formats import LOADERS, Format
from refine_af.export.licence import Terms
from refine_af.export.source import Source
from refine_af.reporting.text import markdown_block, markdown_cell

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""The Hub's size categories up to which number of rows."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One split: the file's name below the folder, its SHA-256, and its rows."""

    name: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was exported: a file per split (``train``, perhaps ``test``), form and template."""

    files: Mapping[str, DataFile]
    form: Format
    template: str

    @property
    def name(self) -> str:
        """Return the name of the file to train on."""
        return self.files["train"].name


def data_card(source: Source, terms: Terms, written: Written, commands: Sequence[str]) -> str:
    """Return the page in Markdown with the header that the Hub and ``load_dataset`` read.

    It names no time, host or folder: the same run gives the same bytes.
    """
    parts = [
        f"---\n{_header(source, terms)}---",
        f"# Instruction data{f', arm {source.arm}' if source.arm else ''}",
        _opening(source, written),
        "## Licence",
        _licence(terms),
        "## Sources",
        _table(("what", "value"), _sources(source)),
        "## Counts",
        _counts(source),
        *[f"Note: {markdown_cell(note)}." for note in source.notes],
        "## An example",
        markdown_block(_example(source)),
        "## Load it",
        _loading(written),
        "## Make it again",
        _again(source, commands),
        "## Digests (sha256)",
        _table(("file", "digest"), [*_digests(written), *source.files.items()]),
        *_parameters(source),
    ]
    return "\n\n".join(parts) + "\n"


def _header(source: Source, terms: Terms) -> str:
    """Return the header, without ``configs``: ``datasets`` finds the splits by the files' names.

    With ``configs`` the key of its cache holds no path and no content, so that a second data set in
    a folder of the same name would load as the first.
    """
    licences = list(terms.published)
    count = len(source.instances)
    front = {
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "synthetic"],
        "size_categories": [next((name for most, name in SIZES if count < most), "1M<n<10M")],
    }
    return yaml_text(front)


def _digests(written: Written) -> list[tuple[str, str]]:
    return [(file.name, file.digest) for file in written.files.values()]


def _loading(written: Written) -> str:
    splits = ", ".join(f"{name} {file.rows:,} rows" for name, file in written.files.items())
    line = LOADERS[written.form].format(path=written.name)
    text = (
        f"Splits: {splits}.\n\n```python\nimport datasets, pandas\n\n"
        f'rows = datasets.load_dataset("data-set", split="train")  # this folder\n'
        f"rows = {line}  # in this folder\n```"
    )
    if "test" in written.files:
        text += (
            "\n\nThe test split holds whole families of tasks (an instruction, its rewrites and"
            " all their rows); no row of it is a near-duplicate of a row to train on (ROUGE-L above"
            " 0.7)."
        )
    return text


def _opening(source: Source, written: Written) -> str:
    form = f"`{written.form}`"
    if written.form == "prompt-completion":
        form += f" (template `{written.template}`)"
    return (
        f"{len(source.instances):,} instruction-input-output rows in the form {form}, written by"
        f" the language model {_code(source.model or 'unknown')} and filtered by rules; no person"
        " read them. They hold the model's mistakes."
    )


def _licence(terms: Terms) -> str:
    lines = [f"- {markdown_cell(line)}" for line in terms.lines]
    if terms.stated:
        lines.append(
            f"\n`{terms.stated}` was stated by whoever exported the data; it was not worked out"
            " from the sources above."
        )
    elif len(terms.licences) > 1:
        lines.append("\nSeveral licences apply together; keep to each of them.")
    return "\n".join(lines)


def _sources(source: Source) -> list[tuple[str, str]]:
    names = ("seeds_uri", "seeds_digest", "model", "model_digest", "tasks_uri", "tasks_digest")
    rows = [(name, str(source.manifest[name])) for name in names if source.manifest.get(name)]
    rows = rows or [("model", source.model or "unknown")]
    codes = sorted(
        {str(record["code"]) for record in source.provenance.values() if "code" in record}
    )
    return [*rows, ("refine-af", ", ".join(codes) or __version__)]


def _counts(source: Source) -> str:
    rows = [
        (task, name, f"{value:g}")
        for task, metrics in source.counts.items()
        for name, value in metrics.items()
    ]
    return _table(("task", "number", "value"), [*rows, ("export", "rows", str(_rows(source)))])


def _rows(source: Source) -> int:
    return len(source.instances)


def _example(source: Source) -> str:
    row = source.instances[0]
    return f"Instruction: {row.instruction}\nInput: {row.input}\nOutput: {row.output}"


def _again(source: Source, commands: Sequence[str]) -> str:
    block = "```console\n" + "\n".join(f"$ {command}" for command in commands) + "\n```"
    if source.config is None:
        return f"From the same files:\n\n{block}"
    return (
        f"With refine-af {__version__}, in this folder (`run.yaml` holds every parameter):\n\n"
        f"{block}\n\nRows are equal byte for byte on a text engine whose telemetry says"
        " `exact` or `same_batch`. A local file that `run.yaml` names must"
        " lie beside it, with the digest above."
    )


def _parameters(source: Source) -> list[str]:
    if not source.provenance:
        return []
    rows = [
        (task, name, json.dumps(value, ensure_ascii=False))
        for task, provenance in source.provenance.items()
        for name, value in _params(provenance).items()
    ]
    return ["## Parameters", _table(("task", "parameter", "value"), rows)]


def _params(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    params: Mapping[str, Any] = provenance.get("params", {})
    return params


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(markdown_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"
