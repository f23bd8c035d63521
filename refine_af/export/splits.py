"""Train and test rows with no task family, and no near-duplicate, on both sides."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import overload

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.randomness import derive
from refine_af.contracts.records import Instance
from refine_af.dedup.candidates import BLOCK
from refine_af.dedup.index import RougeLIndex
from refine_af.export.formats import question
from refine_af.lineage.run import Run

BOUND = 0.7
"""ROUGE-L F1 above which two texts are near-duplicates, as in the near-duplicate filter."""
MOST = 0.5
"""Largest share of rows that near-duplicates may pull into the test split."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Rows of each split, in their order; ``test`` is empty without a split."""

    train: Sequence[Instance]
    test: Sequence[Instance] = ()


def split_rows(rows: Sequence[Instance], share: float, roots: Mapping[str, str]) -> Splits:
    """Return about ``share`` of the rows as a test split, whole families at a time.

    A family is everything that goes back to one task: an instruction with its instances, and the
    rewrites of it. Families are drawn by a hash of their id, so the same rows give the same split.
    Families with a near-duplicate of a test row join the test split.

    Args:
        rows: All rows.
        share: From 0 (no split) to below 1.
        roots: The first instruction of each family by the ids of its instructions; an instruction
            that is not in it is a family of its own.

    Raises:
        ParameterError: For a share outside its range.
        DataError: When too many rows are near-duplicates of each other to be split.
    """
    if not 0 <= share < 1:
        raise ParameterError(f"--test-share is {share}; it must be at least 0 and below 1")
    if not share:
        return Splits(rows)
    families = [_family(row, roots) for row in rows]
    sizes = Counter(families)
    chosen: set[str] = set()
    inside = 0
    for name in sorted(sizes, key=lambda name: (derive(0, "test-split", name), name)):
        if inside >= share * len(rows):
            break
        chosen.add(name)
        inside += sizes[name]
    _close(rows, families, chosen)
    sides = [family in chosen for family in families]
    if sum(sides) > max(MOST, share + 0.1) * len(rows) or all(sides):
        raise DataError(
            f"{sum(sides)} of {len(rows)} rows are near-duplicates of the test rows, so they cannot"
            " be split; filter the rows with a lower max_rouge_l first"
        )
    return Splits(_Part(rows, [not test for test in sides]), _Part(rows, sides))


class _Part(Sequence[Instance]):
    """Those of some rows that are chosen; the rows stay where they are."""

    def __init__(self, rows: Sequence[Instance], chosen: Sequence[bool]) -> None:
        self._rows, self._chosen = rows, chosen

    def __len__(self) -> int:
        return sum(self._chosen)

    def __iter__(self) -> Iterator[Instance]:
        return compress(self._rows, self._chosen)

    @overload
    def __getitem__(self, index: int) -> Instance: ...

    @overload
    def __getitem__(self, index: slice) -> list[Instance]: ...

    def __getitem__(self, index: int | slice) -> Instance | list[Instance]:
        numbers = list(compress(range(len(self._rows)), self._chosen))[index]
        if isinstance(numbers, int):
            return self._rows[numbers]
        return [self._rows[number] for number in numbers]


def _family(row: Instance, roots: Mapping[str, str]) -> str:
    instruction = row.parents[0] if row.parents else row.id
    return roots.get(instruction, instruction)


def _close(rows: Sequence[Instance], families: Sequence[str], chosen: set[str]) -> None:
    """Add to ``chosen`` every family with a near-duplicate of a row of a chosen one."""
    instructions, questions = RougeLIndex(BOUND), RougeLIndex(BOUND)
    others, added = set(families), set(chosen)
    while added:
        for block in _blocks(rows, families, added):
            instructions.add_all([(row.id, row.instruction) for row, _ in block])
            questions.add_all([(row.id, question(row)) for row, _ in block])
        near: set[str] = set()
        for block in _blocks(rows, families, others - chosen):
            matches = zip(
                block,
                instructions.over_bound([row.instruction for row, _ in block]),
                questions.over_bound([question(row) for row, _ in block]),
                strict=True,
            )
            near |= {family for (_, family), *found in matches if any(found)}
        added = near
        chosen |= added


def _blocks(
    rows: Sequence[Instance], families: Sequence[str], wanted: set[str]
) -> Iterator[list[tuple[Instance, str]]]:
    """Yield the rows of the families in ``wanted``, with their family, in lists of a block."""
    pairs = zip(rows, families, strict=True)
    some = ((row, family) for row, family in pairs if family in wanted)
    while block := list(islice(some, BLOCK)):
        yield block


def family_roots(run: Run) -> dict[str, str]:
    """Return the first instruction of the line of rewrites that each instruction ends.

    A row made from exactly one instruction is a rewrite of it; one whose prompt showed several is
    the first of its family.
    """
    above: dict[str, str] = {}
    for _, rows in run.files("kept", "evolve_instructions", "dedup_filter"):
        for row_id, parents in rows.parents():
            if len(parents) == 1:
                above.setdefault(row_id, parents[0])
    roots = {}
    for row_id in above:
        first, seen = row_id, {row_id}
        while first in above and above[first] not in seen:
            first = above[first]
            seen.add(first)
        roots[row_id] = first
    return roots
