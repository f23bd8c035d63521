"""KFP component ``notify``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-notify:0.1.0", install_kfp_package=False)
def notify(
    final_status: dsl.PipelineTaskFinalStatus,
    result: dsl.Input[dsl.Artifact] = None,
    url: str = "",
    pipeline: str = "",
    preset: str = "",
    run: str = "",
    run_id: str = "",
    namespace: str = "",
    ui_host: str = "",
    failures: str = "",
    endings_dir: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Tell an address how the run ended.

    Source: project choice: the exit task of a pipeline

    Args:
        result: The report's result, whose scores are told. Optional.
        url: http(s) address; empty: the environment variable NOTIFY_URL, which a secret fills,
            because such addresses often hold a token.
        pipeline: Name of the pipeline.
        preset: Preset that was compiled.
        run: Name of the run.
        run_id: Id of the run on its engine.
        namespace: Namespace of the run, for Argo's link.
        ui_host: Address of the user interface, for the link.
        failures: Failed tasks as Argo tells them, JSON.
        endings_dir: Work folder of the run, where KFP's tasks leave how they ended; empty:
            nothing is read.
        final_status: How the run ended: Argo's word, or KFP's final status as JSON.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("notify", locals())
