"""KFP component ``seed_ingest``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-seed_ingest:0.1.0", install_kfp_package=False)
def seed_ingest(
    seeds: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    before: dsl.Input[dsl.Artifact] = None,
    seeds_uri: str = "builtin:seeds",
    seeds_digest: str = "",
    field_map: str = "",
    classification: str = "rule",
    licence: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Read seed tasks from anywhere and check every one.

    Source: Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.

    Args:
        seeds: Checked seed tasks with content-derived ids.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        before: Records of the task before this one. Optional.
        seeds_uri: builtin:seeds, a path, gs://, s3://, https:// (JSON Lines, a JSON array, CSV,
            Parquet or plain lines, also .gz), or hf://data-set.
        seeds_digest: Expected sha256 of the file; empty accepts any.
        field_map: Our fields by those of the file, such as instruction=question,output=answer;
            empty: known schemas are recognised (Self-Instruct, Alpaca, Dolly, ShareGPT, messages,
            prompt and completion, plain lines).
        classification: What tasks are that do not say whether they are classification: rule
            (short answers, and words such as classify or sentiment), yes, no.
        licence: Licence of seeds that name none; builtin:seeds are Apache-2.0.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("seed_ingest", locals())
