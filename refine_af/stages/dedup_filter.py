"""Drops near-duplicates and evaluation texts, and merges shards."""

from refine_af.contracts.records import Rejected
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.dedup.params import FilterParams
from refine_af.storage.sources import fetch_source

MORE = tuple(f"candidates_{number}" for number in range(2, 9))


def run(params: FilterParams, task: Task) -> Metrics:
    """Filter the candidate files in their order; first arrival wins."""
    from refine_af.dedup.filter import filter_rows
    from refine_af.evaluation.task_sets import evaluation_texts

    names = [name for name in ("candidates", *MORE) if name in task.inputs]
    avoid: list[tuple[str, str]] = []
    if params.tasks_uri:
        avoid = evaluation_texts(fetch_source(params.tasks_uri, task.scratch))
    return filter_rows(
        [task.inputs[name] for name in names],
        task.inputs.get("pool"),
        task.outputs["kept"],
        task.outputs["rejected"],
        params,
        avoid=avoid,
        embeddings=task.inputs.get("embeddings"),
        progress=task.progress,
        steps=task.journal,
    )


STAGE = Stage(
    name="dedup_filter",
    summary="Drop near-duplicates from anyone's JSON Lines, exactly as Self-Instruct decides.",
    params=FilterParams,
    run=run,
    inputs=(
        Artifact("candidates", "rows", "Rows to judge, in order of arrival."),
        *[
            Artifact(name, "rows", "More candidates, merged after the others.", optional=True)
            for name in MORE
        ],
        Artifact("pool", "rows", "Rows that are already taken (seeds); never dropped.", True),
        Artifact(
            "embeddings",
            "folder",
            "Vectors of candidates and pool from embed_texts; without it light static ones.",
            optional=True,
        ),
    ),
    outputs=(
        Artifact("kept", "rows", "Rows that repeat nothing, unchanged.", shown=True),
        Artifact(
            "rejected",
            "rows",
            "Dropped rows with reason, neighbour and score.",
            record=Rejected,
            shown=True,
        ),
    ),
    image="core",
    resources=Resources(cpu="2", memory="4Gi"),
    source="Self-Instruct (arXiv 2212.10560), section 3.1: ROUGE-L over 0.7 is a repeat.",
)
