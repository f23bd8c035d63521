"""All descendants of one seed: what a licence question or a bad seed task reaches."""

from dataclasses import dataclass
from typing import Any

from refine_af.lineage.ancestry import descendants, find_seed
from refine_af.lineage.run import Run

TRAINED = "train_sft"


@dataclass(frozen=True, slots=True)
class Trace:
    """A seed and everything made from it.

    Attributes:
        seed: The seed's row.
        descendants: Generation of each (1 for rows whose prompt showed the seed), by the artifact
            where it first stands and by its id; in the order of the DAG and of the files.
        trained_on: Number of them that each fine-tuning saw, by task.
    """

    seed: dict[str, Any]
    descendants: dict[str, dict[str, int]]
    trained_on: dict[str, int]

    def counts(self) -> dict[str, int]:
        """Return the number of descendants by artifact."""
        return {artifact: len(rows) for artifact, rows in self.descendants.items()}


def trace(run: Run, name: str) -> Trace:
    """Return the descendants of the seed called ``name`` (its own id, or that of its file)."""
    seed = find_seed(run, name)
    by_artifact = descendants(run, seed["id"])
    below = {row_id.encode() for rows in by_artifact.values() for row_id in rows}
    trained = {}
    for task, rows in run.files("used", TRAINED):
        left_out = {row["id"].encode() for row in rows.lines_with(b'"cut": true')}
        trained[task.name] = len({row for row, _ in rows.heads() if row in below} - left_out)
    return Trace(seed, by_artifact, trained)
