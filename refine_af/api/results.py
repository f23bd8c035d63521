"""Rows in and rows out: tables that become data frames, and what a stage wrote."""

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.jsonl import as_row, iter_objects
from refine_af.contracts.stage import Artifact, Stage
from refine_af.lineage.run import read_json

if TYPE_CHECKING:
    import datasets
    import pandas

Rows = str | Path | Iterable[str | Mapping[str, Any] | BaseModel]
"""The path or URI of a file of rows; or rows: mappings, objects of a table, a data frame of pandas,
a data set of ``datasets``, or texts, which stand for instructions."""

RowT = TypeVar("RowT")


class Table(list[RowT]):
    """Rows of one artifact, in order."""

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a data frame, one column for each field."""
        import pandas

        return pandas.DataFrame(self._mappings())

    def to_dataset(self) -> "datasets.Dataset":
        """Return the rows as a data set of the library ``datasets``."""
        import datasets

        rows = self._mappings()
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
        return datasets.Dataset.from_dict(columns)

    def _mappings(self) -> list[dict[str, Any]]:
        return [as_mapping(row) for row in self]


def as_mapping(row: object) -> dict[str, Any]:
    """Return a row as a dictionary; a text is an instruction.

    Raises:
        ParameterError: For what is no row.
    """
    if isinstance(row, str):
        return {"instruction": row}
    if isinstance(row, BaseModel):
        return row.model_dump(mode="json")
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return dataclasses.asdict(row)
    if isinstance(row, Mapping):
        return dict(row)
    raise ParameterError(
        f"a row is {type(row).__name__}; give mappings, objects of a table, or texts"
    )


class StageResult:
    """What a stage wrote; ``kept, rejected = ...`` takes its outputs apart, in their order.

    Each output is also an attribute: rows as a :class:`Table`, JSON as a dictionary, a model,
    folder or page as its path.

    Attributes:
        metrics: Numbers of the stage.
        outputs: Local path of each output by name. Without ``output_dir`` the files go with this
            object.
    """

    stage: Stage

    def __init__(
        self,
        metrics: Mapping[str, float],
        outputs: Mapping[str, Path],
        folder: "tempfile.TemporaryDirectory[str]",
    ) -> None:
        self.metrics, self.outputs, self._folder = metrics, outputs, folder

    def __iter__(self) -> Iterator[Any]:
        return (self.value(item.name) for item in self.stage.outputs)

    def value(self, name: str) -> Any:  # noqa: ANN401  as the artifact's kind is
        """Return one output, read as its kind says.

        Raises:
            ParameterError: When the stage has no such output.
        """
        artifact = self._artifact(name)
        path = self.outputs[name]
        if artifact.kind == "rows":
            return read_table(path, artifact)
        if artifact.kind == "json":
            return read_json(path)
        return path.read_text(encoding="utf-8") if artifact.kind == "parameter" else path

    def rows(self, name: str) -> Table[dict[str, Any]]:
        """Return an output of rows as dictionaries, whatever it declares."""
        self._artifact(name)
        return read_mappings(self.outputs[name])

    def _artifact(self, name: str) -> Artifact:
        known = {item.name: item for item in self.stage.outputs}
        if name not in known:
            raise ParameterError(
                f"{self.stage.name} has no output {name!r};{nearest(name, list(known))} outputs:"
                f" {', '.join(known)}"
            )
        return known[name]


def read_table(path: Path, artifact: Artifact) -> Table[Any]:
    """Return rows as objects of the declared record; as dictionaries where none is declared."""
    if artifact.record is None:
        return read_mappings(path)
    record = artifact.record
    return Table(as_row(value, record, f"{path}:{number}") for number, value in iter_objects(path))


def read_mappings(path: Path) -> Table[dict[str, Any]]:
    """Return rows as dictionaries."""
    return Table(value for _, value in iter_objects(path))
