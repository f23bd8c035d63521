"""All descendants of one seed: what a licence question or a bad seed task reaches."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from refine_af.lineage.ancestry import NO_OFFSPRING, descendants, find_seed, parents_of_all
from refine_af.lineage.run_folder import RunFolder

TRAINED = "train_sft"


@dataclass(frozen=True, slots=True)
class Descendant:
    """One row below the seed.

    Attributes:
        id: Of the row.
        generation: Steps from the seed, 1 for rows whose prompt showed it.
        artifact: Where the row first stands, such as ``generate_instructions/instructions``.
    """

    id: str
    generation: int
    artifact: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A seed and everything made from it.

    Attributes:
        seed: The seed's row.
        found: Its descendants, artifact by artifact in the order of the DAG, in file order.
        trained_on: Number of them that each fine-tuning saw, by task.
    """

    seed: dict[str, Any]
    found: tuple[Descendant, ...]
    trained_on: dict[str, int]

    def counts(self) -> dict[str, int]:
        """Return the number of descendants by artifact."""
        return dict(Counter(one.artifact for one in self.found))


def trace(run: RunFolder, name: str) -> Trace:
    """Return the descendants of the seed called ``name`` (its own id, or that of its file)."""
    seed = find_seed(run, name)
    generations = descendants(parents_of_all(run), seed["id"])
    below = tuple(_placed(run, generations))
    trained = {}
    for task, rows in run.files("used", TRAINED):
        left_out = {row["id"] for row in rows.lines_with(b'"cut": true')}
        trained[task.name] = len((rows.parents.keys() & generations.keys()) - left_out)
    return Trace(seed, below, trained)


def _placed(run: RunFolder, generations: dict[str, int]) -> Iterator[Descendant]:
    seen: set[str] = set()
    for task, name, rows in run.every_file():
        if name in NO_OFFSPRING:
            continue
        for row_id in rows.parents:
            if row_id in generations and row_id not in seen:
                seen.add(row_id)
                yield Descendant(row_id, generations[row_id], f"{task.name}/{name}")
