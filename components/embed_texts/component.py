"""KFP component ``embed_texts``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-embed_texts:0.1.0", install_kfp_package=False)
def embed_texts(
    candidates: dsl.Input[dsl.Dataset],
    embeddings: dsl.Output[dsl.Artifact],
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
    before: dsl.Input[dsl.Artifact] = None,
    model: str = "sentence-transformers/all-MiniLM-L6-v2",
    text_field: str = "instruction",
    prefix: str = "",
    dtype: str = "auto",
    engine_batch: int = 64,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Embed rows with a sentence-transformers model, for dedup_filter's semantic mode.

    Source: Sentence-BERT (arXiv 1908.10084): pooled, normalised token states.

    Args:
        candidates: Rows to embed.
        embeddings: vectors.npy [rows, D] and ids.jsonl.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        candidates_2: More of them. Optional.
        candidates_3: More of them. Optional.
        candidates_4: More of them. Optional.
        candidates_5: More of them. Optional.
        candidates_6: More of them. Optional.
        candidates_7: More of them. Optional.
        candidates_8: More of them. Optional.
        pool: Rows that are already taken (seeds). Optional.
        before: Records of the task before this one. Optional.
        model: Any sentence-transformers model with safetensors: a Hub id (org/name@revision), a
            path, gs:// or s3://.
        text_field: Column that is embedded.
        prefix: Put before each text; some models want one, such as 'query: '.
        dtype: Weights' precision.
        engine_batch: Texts per batch.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("embed_texts", locals())
