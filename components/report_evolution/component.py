"""KFP component ``report_evolution``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-report_evolution:0.1.0", install_kfp_package=False)
def report_evolution(
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    result: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    provenance: dsl.Output[dsl.Artifact],
    telemetry: dsl.Output[dsl.Artifact],
    manifest: dsl.Input[dsl.Artifact] = None,
    seeds: dsl.Input[dsl.Dataset] = None,
    policy_trace: dsl.Input[dsl.Dataset] = None,
    policy_curve: dsl.Input[dsl.Dataset] = None,
    policy_table: dsl.Input[dsl.Artifact] = None,
    policy_ledger: dsl.Input[dsl.Artifact] = None,
    trace_learned: dsl.Input[dsl.Dataset] = None,
    ledger_learned: dsl.Input[dsl.Artifact] = None,
    kept_learned: dsl.Input[dsl.Dataset] = None,
    duplicates_learned: dsl.Input[dsl.Dataset] = None,
    answering_learned: dsl.Input[dsl.Artifact] = None,
    unanswered_learned: dsl.Input[dsl.Dataset] = None,
    instances_learned: dsl.Input[dsl.Dataset] = None,
    used_learned: dsl.Input[dsl.Dataset] = None,
    tuning_learned: dsl.Input[dsl.Artifact] = None,
    predictions_learned: dsl.Input[dsl.Dataset] = None,
    judging_learned: dsl.Input[dsl.Artifact] = None,
    privacy_learned: dsl.Input[dsl.Artifact] = None,
    trace_uniform: dsl.Input[dsl.Dataset] = None,
    ledger_uniform: dsl.Input[dsl.Artifact] = None,
    kept_uniform: dsl.Input[dsl.Dataset] = None,
    duplicates_uniform: dsl.Input[dsl.Dataset] = None,
    answering_uniform: dsl.Input[dsl.Artifact] = None,
    unanswered_uniform: dsl.Input[dsl.Dataset] = None,
    instances_uniform: dsl.Input[dsl.Dataset] = None,
    used_uniform: dsl.Input[dsl.Dataset] = None,
    tuning_uniform: dsl.Input[dsl.Artifact] = None,
    predictions_uniform: dsl.Input[dsl.Dataset] = None,
    judging_uniform: dsl.Input[dsl.Artifact] = None,
    privacy_uniform: dsl.Input[dsl.Artifact] = None,
    trace_fixed_mix: dsl.Input[dsl.Dataset] = None,
    ledger_fixed_mix: dsl.Input[dsl.Artifact] = None,
    kept_fixed_mix: dsl.Input[dsl.Dataset] = None,
    duplicates_fixed_mix: dsl.Input[dsl.Dataset] = None,
    answering_fixed_mix: dsl.Input[dsl.Artifact] = None,
    unanswered_fixed_mix: dsl.Input[dsl.Dataset] = None,
    instances_fixed_mix: dsl.Input[dsl.Dataset] = None,
    used_fixed_mix: dsl.Input[dsl.Dataset] = None,
    tuning_fixed_mix: dsl.Input[dsl.Artifact] = None,
    predictions_fixed_mix: dsl.Input[dsl.Dataset] = None,
    judging_fixed_mix: dsl.Input[dsl.Artifact] = None,
    privacy_fixed_mix: dsl.Input[dsl.Artifact] = None,
    trace_released_mix: dsl.Input[dsl.Dataset] = None,
    ledger_released_mix: dsl.Input[dsl.Artifact] = None,
    kept_released_mix: dsl.Input[dsl.Dataset] = None,
    duplicates_released_mix: dsl.Input[dsl.Dataset] = None,
    answering_released_mix: dsl.Input[dsl.Artifact] = None,
    unanswered_released_mix: dsl.Input[dsl.Dataset] = None,
    instances_released_mix: dsl.Input[dsl.Dataset] = None,
    used_released_mix: dsl.Input[dsl.Dataset] = None,
    tuning_released_mix: dsl.Input[dsl.Artifact] = None,
    predictions_released_mix: dsl.Input[dsl.Dataset] = None,
    judging_released_mix: dsl.Input[dsl.Artifact] = None,
    privacy_released_mix: dsl.Input[dsl.Artifact] = None,
    trace_llm: dsl.Input[dsl.Dataset] = None,
    ledger_llm: dsl.Input[dsl.Artifact] = None,
    kept_llm: dsl.Input[dsl.Dataset] = None,
    duplicates_llm: dsl.Input[dsl.Dataset] = None,
    answering_llm: dsl.Input[dsl.Artifact] = None,
    unanswered_llm: dsl.Input[dsl.Dataset] = None,
    instances_llm: dsl.Input[dsl.Dataset] = None,
    used_llm: dsl.Input[dsl.Dataset] = None,
    tuning_llm: dsl.Input[dsl.Artifact] = None,
    predictions_llm: dsl.Input[dsl.Dataset] = None,
    judging_llm: dsl.Input[dsl.Artifact] = None,
    privacy_llm: dsl.Input[dsl.Artifact] = None,
    trace_no_evolution: dsl.Input[dsl.Dataset] = None,
    ledger_no_evolution: dsl.Input[dsl.Artifact] = None,
    kept_no_evolution: dsl.Input[dsl.Dataset] = None,
    duplicates_no_evolution: dsl.Input[dsl.Dataset] = None,
    answering_no_evolution: dsl.Input[dsl.Artifact] = None,
    unanswered_no_evolution: dsl.Input[dsl.Dataset] = None,
    instances_no_evolution: dsl.Input[dsl.Dataset] = None,
    used_no_evolution: dsl.Input[dsl.Dataset] = None,
    tuning_no_evolution: dsl.Input[dsl.Artifact] = None,
    predictions_no_evolution: dsl.Input[dsl.Dataset] = None,
    judging_no_evolution: dsl.Input[dsl.Artifact] = None,
    privacy_no_evolution: dsl.Input[dsl.Artifact] = None,
    predictions_start: dsl.Input[dsl.Dataset] = None,
    judging_start: dsl.Input[dsl.Artifact] = None,
    seed: int = 1,
    resamples: int = 2000,
    work_dir: str = "",
    label: str = "",
) -> None:
    """One self-contained HTML report: what the learned policy adds over a random one.

    Source: project choice: the controls that TeaMs-RL's code does not have, at equal calls.

    Args:
        report: The report.
        summary: The same content for the KFP UI.
        result: The answer, and the numbers per arm.
        metrics: Deterministic numbers.
        provenance: Parameters, digests of inputs and code that decided the rows.
        telemetry: Seconds, rates, host: all that differs between equal runs.
        manifest: What the run read, with digests. Optional.
        seeds: Seed tasks. Optional.
        policy_trace: Operations of the policy's training. Optional.
        policy_curve: Numbers per update of the policy. Optional.
        policy_table: The one-step table. Optional.
        policy_ledger: Calls of the policy's training. Optional.
        trace_learned: Operations of the arm learned. Optional.
        ledger_learned: Calls of evolve_instructions, of the arm learned. Optional.
        kept_learned: Instructions after the filter, of the arm learned. Optional.
        duplicates_learned: What the filter dropped, of the arm learned. Optional.
        answering_learned: Calls of generate_responses, of the arm learned. Optional.
        unanswered_learned: Answers that were dropped, of the arm learned. Optional.
        instances_learned: Scored instances of the arm learned. Optional.
        used_learned: Rows that fine-tuning used or left out, of the arm learned. Optional.
        tuning_learned: Provenance of train_sft, of the arm learned. Optional.
        predictions_learned: Scored answers to the evaluation tasks, of the arm learned. Optional.
        judging_learned: Provenance of evaluate, of the arm learned. Optional.
        privacy_learned: Result of audit_privacy, of the arm learned. Optional.
        trace_uniform: Operations of the arm uniform. Optional.
        ledger_uniform: Calls of evolve_instructions, of the arm uniform. Optional.
        kept_uniform: Instructions after the filter, of the arm uniform. Optional.
        duplicates_uniform: What the filter dropped, of the arm uniform. Optional.
        answering_uniform: Calls of generate_responses, of the arm uniform. Optional.
        unanswered_uniform: Answers that were dropped, of the arm uniform. Optional.
        instances_uniform: Scored instances of the arm uniform. Optional.
        used_uniform: Rows that fine-tuning used or left out, of the arm uniform. Optional.
        tuning_uniform: Provenance of train_sft, of the arm uniform. Optional.
        predictions_uniform: Scored answers to the evaluation tasks, of the arm uniform. Optional.
        judging_uniform: Provenance of evaluate, of the arm uniform. Optional.
        privacy_uniform: Result of audit_privacy, of the arm uniform. Optional.
        trace_fixed_mix: Operations of the arm fixed_mix. Optional.
        ledger_fixed_mix: Calls of evolve_instructions, of the arm fixed_mix. Optional.
        kept_fixed_mix: Instructions after the filter, of the arm fixed_mix. Optional.
        duplicates_fixed_mix: What the filter dropped, of the arm fixed_mix. Optional.
        answering_fixed_mix: Calls of generate_responses, of the arm fixed_mix. Optional.
        unanswered_fixed_mix: Answers that were dropped, of the arm fixed_mix. Optional.
        instances_fixed_mix: Scored instances of the arm fixed_mix. Optional.
        used_fixed_mix: Rows that fine-tuning used or left out, of the arm fixed_mix. Optional.
        tuning_fixed_mix: Provenance of train_sft, of the arm fixed_mix. Optional.
        predictions_fixed_mix: Scored answers to the evaluation tasks, of the arm fixed_mix.
            Optional.
        judging_fixed_mix: Provenance of evaluate, of the arm fixed_mix. Optional.
        privacy_fixed_mix: Result of audit_privacy, of the arm fixed_mix. Optional.
        trace_released_mix: Operations of the arm released_mix. Optional.
        ledger_released_mix: Calls of evolve_instructions, of the arm released_mix. Optional.
        kept_released_mix: Instructions after the filter, of the arm released_mix. Optional.
        duplicates_released_mix: What the filter dropped, of the arm released_mix. Optional.
        answering_released_mix: Calls of generate_responses, of the arm released_mix. Optional.
        unanswered_released_mix: Answers that were dropped, of the arm released_mix. Optional.
        instances_released_mix: Scored instances of the arm released_mix. Optional.
        used_released_mix: Rows that fine-tuning used or left out, of the arm released_mix.
            Optional.
        tuning_released_mix: Provenance of train_sft, of the arm released_mix. Optional.
        predictions_released_mix: Scored answers to the evaluation tasks, of the arm released_mix.
            Optional.
        judging_released_mix: Provenance of evaluate, of the arm released_mix. Optional.
        privacy_released_mix: Result of audit_privacy, of the arm released_mix. Optional.
        trace_llm: Operations of the arm llm. Optional.
        ledger_llm: Calls of evolve_instructions, of the arm llm. Optional.
        kept_llm: Instructions after the filter, of the arm llm. Optional.
        duplicates_llm: What the filter dropped, of the arm llm. Optional.
        answering_llm: Calls of generate_responses, of the arm llm. Optional.
        unanswered_llm: Answers that were dropped, of the arm llm. Optional.
        instances_llm: Scored instances of the arm llm. Optional.
        used_llm: Rows that fine-tuning used or left out, of the arm llm. Optional.
        tuning_llm: Provenance of train_sft, of the arm llm. Optional.
        predictions_llm: Scored answers to the evaluation tasks, of the arm llm. Optional.
        judging_llm: Provenance of evaluate, of the arm llm. Optional.
        privacy_llm: Result of audit_privacy, of the arm llm. Optional.
        trace_no_evolution: Operations of the arm no_evolution. Optional.
        ledger_no_evolution: Calls of evolve_instructions, of the arm no_evolution. Optional.
        kept_no_evolution: Instructions after the filter, of the arm no_evolution. Optional.
        duplicates_no_evolution: What the filter dropped, of the arm no_evolution. Optional.
        answering_no_evolution: Calls of generate_responses, of the arm no_evolution. Optional.
        unanswered_no_evolution: Answers that were dropped, of the arm no_evolution. Optional.
        instances_no_evolution: Scored instances of the arm no_evolution. Optional.
        used_no_evolution: Rows that fine-tuning used or left out, of the arm no_evolution.
            Optional.
        tuning_no_evolution: Provenance of train_sft, of the arm no_evolution. Optional.
        predictions_no_evolution: Scored answers to the evaluation tasks, of the arm no_evolution.
            Optional.
        judging_no_evolution: Provenance of evaluate, of the arm no_evolution. Optional.
        privacy_no_evolution: Result of audit_privacy, of the arm no_evolution. Optional.
        predictions_start: Scored answers to the evaluation tasks, of the arm start. Optional.
        judging_start: Provenance of evaluate, of the arm start. Optional.
        seed: Seed of the bootstrap and of the samples shown.
        resamples: Resamples of the bootstrap intervals.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("report_evolution", locals())
