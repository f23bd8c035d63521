"""KFP component ``register_model``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-register_model:0.1.0", install_kfp_package=False)
def register_model(
    adapter: dsl.Input[dsl.Model],
    registration: dsl.Output[dsl.Artifact],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    merged: dsl.Input[dsl.Model] = None,
    lineage: dsl.Input[dsl.Artifact] = None,
    result: dsl.Input[dsl.Artifact] = None,
    arm: str = "rl",
    model_uri: str = "",
    name: str = "refine-af",
    version: str = "",
    form: str = "adapter",
    registry: str = "",
    author: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Write a tuned model to a bucket or OCI registry; register it in a model registry.

    Source: project choice: what is done with the model after the run.

    Args:
        adapter: What fine-tuning made: an adapter, or the full model.
        registration: Where it is, and its ids in the registry.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        merged: Base and adapter in one. Optional.
        lineage: Records of the tasks that made it. Optional.
        result: The report's result, for the scores. Optional.
        arm: Arm whose model is registered.
        model_uri: Folder or URI below which NAME/VERSION is written, or oci://HOST/PATH, where
            NAME:VERSION is; needed.
        name: Name of the registered model, which all versions share.
        version: Name of the version; empty: a digest of the model's files.
        form: What is registered; merged needs train_sft.merge.
        registry: http(s) address of a Kubeflow Model Registry; empty: the files are written, no
            more.
        author: Who is named as the version's author.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("register_model", locals())
