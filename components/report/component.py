"""KFP component ``report``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-report:0.1.0", install_kfp_package=False)
def report(
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    result: dsl.Output[dsl.Artifact],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    run: dsl.Input[dsl.Artifact] = None,
    records_1: dsl.Input[dsl.Artifact] = None,
    records_2: dsl.Input[dsl.Artifact] = None,
    records_3: dsl.Input[dsl.Artifact] = None,
    records_4: dsl.Input[dsl.Artifact] = None,
    records_5: dsl.Input[dsl.Artifact] = None,
    records_6: dsl.Input[dsl.Artifact] = None,
    records_7: dsl.Input[dsl.Artifact] = None,
    records_8: dsl.Input[dsl.Artifact] = None,
    records_9: dsl.Input[dsl.Artifact] = None,
    records_10: dsl.Input[dsl.Artifact] = None,
    records_11: dsl.Input[dsl.Artifact] = None,
    records_12: dsl.Input[dsl.Artifact] = None,
    records_13: dsl.Input[dsl.Artifact] = None,
    records_14: dsl.Input[dsl.Artifact] = None,
    records_15: dsl.Input[dsl.Artifact] = None,
    records_16: dsl.Input[dsl.Artifact] = None,
    records_17: dsl.Input[dsl.Artifact] = None,
    records_18: dsl.Input[dsl.Artifact] = None,
    records_19: dsl.Input[dsl.Artifact] = None,
    records_20: dsl.Input[dsl.Artifact] = None,
    records_21: dsl.Input[dsl.Artifact] = None,
    records_22: dsl.Input[dsl.Artifact] = None,
    records_23: dsl.Input[dsl.Artifact] = None,
    records_24: dsl.Input[dsl.Artifact] = None,
    seed: int = 1,
    resamples: int = 2000,
    work_dir: str = "",
    label: str = "",
) -> None:
    """One self-contained HTML report: what RL added, on which tasks, where every row went.

    Source: REFINE-AF, section on results: share of tasks that improve over the non-RL pipeline;
    TeaMs-RL with controls at equal calls that its code does not have.

    Args:
        report: The report.
        summary: The same content for the KFP UI.
        result: The answer, and the numbers per arm.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        run: An earlier run, for tasks that no other input has. Optional.
        records_1: Records of the last task of a part of the run. Optional.
        records_2: Records of the last task of a part of the run. Optional.
        records_3: Records of the last task of a part of the run. Optional.
        records_4: Records of the last task of a part of the run. Optional.
        records_5: Records of the last task of a part of the run. Optional.
        records_6: Records of the last task of a part of the run. Optional.
        records_7: Records of the last task of a part of the run. Optional.
        records_8: Records of the last task of a part of the run. Optional.
        records_9: Records of the last task of a part of the run. Optional.
        records_10: Records of the last task of a part of the run. Optional.
        records_11: Records of the last task of a part of the run. Optional.
        records_12: Records of the last task of a part of the run. Optional.
        records_13: Records of the last task of a part of the run. Optional.
        records_14: Records of the last task of a part of the run. Optional.
        records_15: Records of the last task of a part of the run. Optional.
        records_16: Records of the last task of a part of the run. Optional.
        records_17: Records of the last task of a part of the run. Optional.
        records_18: Records of the last task of a part of the run. Optional.
        records_19: Records of the last task of a part of the run. Optional.
        records_20: Records of the last task of a part of the run. Optional.
        records_21: Records of the last task of a part of the run. Optional.
        records_22: Records of the last task of a part of the run. Optional.
        records_23: Records of the last task of a part of the run. Optional.
        records_24: Records of the last task of a part of the run. Optional.
        seed: Seed of the bootstrap and of the samples shown.
        resamples: Resamples of the bootstrap intervals.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("report", locals())
