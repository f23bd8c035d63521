"""Vectors of instructions by a sentence model, for the semantic mode of the filter."""

from typing import Literal

from refine_af.contracts.errors import DataError
from refine_af.contracts.params import Params, param
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.stages.dedup_filter import MORE


class EmbedTextsParams(Params):
    """Which model reads which column."""

    model: str = param(
        "sentence-transformers/all-MiniLM-L6-v2",
        "Any sentence-transformers model with safetensors: a Hub id (org/name@revision), a path,"
        " gs:// or s3://.",
        names="model",
    )
    text_field: str = param("instruction", "Column that is embedded.")
    prefix: str = param("", "Put before each text; some models want one, such as 'query: '.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = param("auto", "Weights' precision.")
    engine_batch: int = param(64, "Texts per batch.", method=False, ge=1)


def run(params: EmbedTextsParams, task: Task) -> Metrics:
    """Embed every row of pool and candidates that has text; a row that comes twice, once."""
    from refine_af.dedup.candidates import read_candidates
    from refine_af.dedup.embeddings import write_embeddings
    from refine_af.engines.sentence_vectors import SentenceVectors

    names = ("pool", "candidates", *MORE)
    files = [task.inputs[name] for name in names if name in task.inputs]
    rows = {
        row.id: row.text
        for row in read_candidates(files, params.text_field)
        if row.text is not None
    }
    if not rows:
        raise DataError(f"{files[0]}: no row has text in the field {params.text_field!r}")
    model = SentenceVectors(params.model, dtype=params.dtype, batch_size=params.engine_batch)
    vectors = model.embed(
        [params.prefix + text for text in rows.values()],
        lambda done: task.progress.step(done, len(rows), "texts"),
    )
    write_embeddings(task.outputs["embeddings"], list(rows), vectors)
    return {"rows": len(rows), "dimensions": vectors.shape[1]}


STAGE = Stage(
    name="embed_texts",
    summary="Embed rows with a sentence-transformers model, for dedup_filter's semantic mode.",
    params=EmbedTextsParams,
    run=run,
    inputs=(
        Artifact("candidates", "rows", "Rows to embed."),
        *[Artifact(name, "rows", "More of them.", optional=True) for name in MORE],
        Artifact("pool", "rows", "Rows that are already taken (seeds).", True),
    ),
    outputs=(Artifact("embeddings", "folder", "vectors.npy [rows, D] and ids.jsonl."),),
    image="train",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Sentence-BERT (arXiv 1908.10084): pooled, normalised token states.",
)
