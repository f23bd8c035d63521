"""KFP component ``dedup_filter``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-dedup_filter:0.1.0", install_kfp_package=False)
def dedup_filter(
    candidates: dsl.Input[dsl.Dataset],
    kept: dsl.Output[dsl.Dataset],
    rejected: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    candidates_2: dsl.Input[dsl.Dataset] = None,
    candidates_3: dsl.Input[dsl.Dataset] = None,
    candidates_4: dsl.Input[dsl.Dataset] = None,
    candidates_5: dsl.Input[dsl.Dataset] = None,
    candidates_6: dsl.Input[dsl.Dataset] = None,
    candidates_7: dsl.Input[dsl.Dataset] = None,
    candidates_8: dsl.Input[dsl.Dataset] = None,
    pool: dsl.Input[dsl.Dataset] = None,
    embeddings: dsl.Input[dsl.Artifact] = None,
    before: dsl.Input[dsl.Artifact] = None,
    max_rouge_l: float = 0.7,
    text_field: str = "instruction",
    tokens: str = "rouge",
    max_rows: int = 0,
    tasks_uri: str = "",
    tasks_digest: str = "",
    max_cosine: float = 0.0,
    max_per_root: int = 0,
    root_field: str = "root",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Drop near-duplicates from anyone's JSON Lines, exactly as Self-Instruct decides.

    Source: Self-Instruct (arXiv 2212.10560), section 3.1: ROUGE-L over 0.7 is a repeat.

    Args:
        candidates: Rows to judge, in order of arrival.
        kept: Rows that repeat nothing, unchanged.
        rejected: Dropped rows with reason, neighbour and score.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        candidates_2: More candidates, merged after the others. Optional.
        candidates_3: More candidates, merged after the others. Optional.
        candidates_4: More candidates, merged after the others. Optional.
        candidates_5: More candidates, merged after the others. Optional.
        candidates_6: More candidates, merged after the others. Optional.
        candidates_7: More candidates, merged after the others. Optional.
        candidates_8: More candidates, merged after the others. Optional.
        pool: Rows that are already taken (seeds); never dropped. Optional.
        embeddings: Vectors of candidates and pool from embed_texts; without it light static ones.
            Optional.
        before: Records of the task before this one. Optional.
        max_rouge_l: Drop a row whose ROUGE-L F1 with a pool or kept row is strictly above this.
        text_field: Column that is compared.
        tokens: rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.
        max_rows: Keep at most this many rows, in order; 0 keeps all.
        tasks_uri: Evaluation tasks that no row may match: builtin:tasks or a URI; empty checks
            nothing.
        tasks_digest: Digest of the tasks, as check_inputs found them: other tasks are another
            run.
        max_cosine: Semantic mode: drop a row whose embedding's cosine with a pool or kept row is
            strictly above this; 0 compares wording alone.
        max_per_root: Keep at most this many rows of one root, in order; 0 sets no cap.
        root_field: Column that names a row's root; without it its own.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("dedup_filter", locals())
