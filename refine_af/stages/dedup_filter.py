"""Near-duplicates out, shards merged, evaluation texts kept out of the training data."""

from typing import Literal

from refine_af.contracts.params import Params, param
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.storage.sources import fetch_source

MORE = tuple(f"candidates_{number}" for number in range(2, 9))


class DedupFilterParams(Params):
    """When a row counts as a repeat."""

    max_rouge_l: float = param(
        0.7,
        "Drop a row whose ROUGE-L F1 with a pool or kept row is strictly above this.",
        source="Self-Instruct, section 3.1 and its code (strictly greater)",
        gt=0.0,
        le=1.0,
    )
    text_field: str = param("instruction", "Column that is compared.")
    tokens: Literal["rouge", "unicode_words", "characters"] = param(
        "rouge",
        "rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.",
        source="rouge_score 0.1.2",
    )
    max_rows: int = param(0, "Keep at most this many rows, in order; 0 keeps all.", ge=0)
    tasks_uri: str = param(
        "", "Evaluation tasks that no row may match: builtin:tasks or a URI; empty checks nothing."
    )
    max_cosine: float = param(
        0.0,
        "Semantic mode: drop a row whose embedding's cosine with a pool or kept row is strictly"
        " above this; 0 compares wording alone.",
        source="project choice: ROUGE-L drops almost nothing among evolved rewrites",
        ge=0.0,
        le=1.0,
    )
    max_per_root: int = param(
        0, "Keep at most this many rows of one root, in order; 0 sets no cap.", ge=0
    )
    root_field: str = param("root", "Column that names a row's root; without it its own.")


def run(params: DedupFilterParams, task: Task) -> Metrics:
    """Filter the candidate files in their order; first arrival wins."""
    from refine_af.dedup.filter import FilterSettings, filter_rows
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
        FilterSettings(
            max_rouge_l=params.max_rouge_l,
            text_field=params.text_field,
            tokens=params.tokens,
            max_rows=params.max_rows,
            max_cosine=params.max_cosine,
            max_per_root=params.max_per_root,
            root_field=params.root_field,
        ),
        avoid=avoid,
        embeddings=task.inputs.get("embeddings"),
        progress=task.progress,
    )


STAGE = Stage(
    name="dedup_filter",
    summary="Drop near-duplicates from anyone's JSON Lines, exactly as Self-Instruct decides.",
    params=DedupFilterParams,
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
        Artifact("kept", "rows", "Rows that repeat nothing, unchanged."),
        Artifact("rejected", "rows", "Dropped rows with reason, neighbour and score."),
    ),
    image="core",
    resources=Resources(cpu="2", memory="4Gi"),
    source="Self-Instruct (arXiv 2212.10560), section 3.1: ROUGE-L over 0.7 is a repeat.",
)
