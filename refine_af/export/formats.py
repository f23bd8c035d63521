"""Instances in the shapes that training tools read.

=================== ======================================== ==================================
format              file                                     read by
=================== ======================================== ==================================
alpaca              one JSON array                           Stanford Alpaca, LLaMA-Factory,
                                                             Axolotl
sharegpt            one JSON array of conversations          FastChat, LLaMA-Factory, Axolotl
messages            JSON Lines                               TRL, OpenAI's fine-tuning
prompt-completion   JSON Lines                               TRL
parquet             one Parquet file, all columns            anything
hf                  Parquet shard with features, all columns the Hub's viewer
=================== ======================================== ==================================

All of them load with ``datasets.load_dataset(FOLDER)``.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from refine_af.contracts.errors import missing_library
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance

Format = Literal["alpaca", "sharegpt", "messages", "prompt-completion", "parquet", "hf"]
FORMATS: tuple[str, ...] = get_args(Format)
Shape = Callable[[Instance], dict[str, Any]]


ROW_GROUP = 1 << 16
"""Rows of a Parquet file that are in memory together."""

LOADERS: dict[Format, str] = {
    "alpaca": 'pandas.read_json("{path}")',
    "sharegpt": 'pandas.read_json("{path}")',
    "messages": 'pandas.read_json("{path}", lines=True)',
    "prompt-completion": 'pandas.read_json("{path}", lines=True)',
    "parquet": 'pandas.read_parquet("{path}")',
    "hf": 'pandas.read_parquet("{path}")',
}
"""What reads a file of each format without this project; ``datasets`` reads them all."""


def write_data(
    rows: Sequence[Instance], form: Format, template: str, folder: Path, split: str = "train"
) -> Path:
    """Write the rows and return the file.

    Args:
        rows: In the order that they shall have.
        form: The shape.
        template: Words around a row, for ``prompt-completion``: as ``train_sft`` trained on.
        folder: A directory.
        split: ``train`` or ``test``; names the file.
    """
    if form in ("parquet", "hf"):
        return _write_parquet(rows, form, folder, split)
    shapes: dict[str, Shape] = {
        "alpaca": _alpaca,
        "sharegpt": _sharegpt,
        "messages": _messages,
        "prompt-completion": lambda row: _prompt_completion(row, template),
    }
    shaped = (shapes[form](row) for row in rows)
    if form in ("alpaca", "sharegpt"):
        return _write_array(folder / f"{split}.json", shaped)
    write_rows(folder / f"{split}.jsonl", shaped)
    return folder / f"{split}.jsonl"


def question(row: Instance) -> str:
    """Return what a user would type: the instruction, and the input below it where there is one."""
    return f"{row.instruction.strip()}\n\n{row.input.strip()}".strip()


def _alpaca(row: Instance) -> dict[str, Any]:
    return {"instruction": row.instruction, "input": row.input, "output": row.output}


def _sharegpt(row: Instance) -> dict[str, Any]:
    turns = [("human", question(row)), ("gpt", row.output)]
    return {"id": row.id, "conversations": [{"from": who, "value": text} for who, text in turns]}


def _messages(row: Instance) -> dict[str, Any]:
    turns = [("user", question(row)), ("assistant", row.output)]
    return {"messages": [{"role": who, "content": text} for who, text in turns]}


def _prompt_completion(row: Instance, template: str) -> dict[str, Any]:
    from refine_af.evaluation.prompts import render_prompt  # loads Jinja2

    prompt = render_prompt(template, row.instruction, row.input)
    blank = " " if prompt.endswith(":") else ""
    return {"prompt": prompt, "completion": f"{blank}{row.output.strip()}"}


def _write_array(path: Path, rows: Iterator[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as sink:
        before = "[\n"
        for row in rows:
            sink.write(before + json.dumps(row, ensure_ascii=False, allow_nan=False))
            before = ",\n"
        sink.write("\n]\n")
    return path


def columns(rows: Sequence[Instance]) -> Iterator[dict[str, Any]]:
    """Yield the rows with one column per part of the reward; a part not measured is None."""
    parts = sorted({name for row in rows for name in row.parts})
    for row in rows:
        yield {
            "id": row.id,
            "instruction_id": row.parents[0] if row.parents else None,
            **_alpaca(row),
            "is_classification": row.is_classification,
            "reward": row.total,
            **{f"reward_{name}": row.parts.get(name) for name in parts},
        }


def _write_parquet(rows: Sequence[Instance], form: Format, folder: Path, split: str) -> Path:
    try:
        import pyarrow
        import pyarrow.parquet
        from datasets import Features, Value
    except ImportError as error:
        remedy = (
            "pip install 'refine-af[train]', or take alpaca, sharegpt, messages or"
            " prompt-completion"
        )
        raise missing_library(error, f"--format {form}", remedy) from None
    names = list(next(columns(rows)))
    numbers = [name for name in names if name.startswith("reward")]
    if form == "hf":
        kinds = {name: Value(_kind(name, numbers)) for name in names}
        path = folder / f"{split}-00000-of-00001.parquet"
        _write_data_set(rows, Features(kinds), path)
        return path
    fields = [(name, pyarrow.type_for_alias(_kind(name, numbers))) for name in names]
    schema = pyarrow.schema(fields)
    table = columns(rows)
    with pyarrow.parquet.ParquetWriter(folder / f"{split}.parquet", schema) as writer:
        while group := list(islice(table, ROW_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
    return folder / f"{split}.parquet"


def _write_data_set(rows: Sequence[Instance], features: Any, path: Path) -> None:  # noqa: ANN401
    """Write rows with the features that the Hub's viewer reads, by way of a file of the library."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="refine-af-data-set-") as folder:
        made = Dataset.from_generator(
            columns,
            features=features,
            cache_dir=folder,
            gen_kwargs={"rows": rows},
            fingerprint="rows",
        )
        made.to_parquet(str(path))


def _kind(name: str, numbers: Sequence[str]) -> str:
    if name == "is_classification":
        return "bool"
    return "float64" if name in numbers else "string"
