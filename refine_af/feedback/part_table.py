"""The parts of many rows as columns: 8 bytes a number, where a dictionary a row takes some 100."""

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from refine_af.feedback.interface import Parts


class PartTable(Sequence[Parts]):
    """Parts of rows that all have the same names.

    Attributes:
        columns: The numbers of each part, in the order of the rows.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Start without rows; further parts of a row than ``names`` are left out."""
        self.columns = {name: array("d") for name in names}
        self._count = 0

    def add(self, parts: Parts) -> None:
        """Append a row."""
        for name, column in self.columns.items():
            column.append(parts[name])
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Parts]:
        for numbers in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, numbers, strict=True))

    @overload
    def __getitem__(self, index: int) -> Parts: ...

    @overload
    def __getitem__(self, index: slice) -> list[Parts]: ...

    def __getitem__(self, index: int | slice) -> Parts | list[Parts]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return {name: column[index] for name, column in self.columns.items()}
