"""KFP component ``notify``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-notify:0.1.0", install_kfp_package=False)
def notify(
    metrics: dsl.Output[dsl.Metrics],
    provenance: dsl.Output[dsl.Artifact],
    telemetry: dsl.Output[dsl.Artifact],
    final_status: dsl.PipelineTaskFinalStatus,
    url: str = "",
    run: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """Tell an address how the run ended.

    Source: project choice: the exit task of a pipeline

    Args:
        metrics: Deterministic numbers.
        provenance: Parameters, digests of inputs and code that decided the rows.
        telemetry: Seconds, rates, host: all that differs between equal runs.
        url: http(s) address; empty: the environment variable NOTIFY_URL, which a secret fills,
            because such addresses often hold a token.
        run: Name of the run.
        final_status: How the run ended: Argo's word, or KFP's final status as JSON.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("notify", locals())
