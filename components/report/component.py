"""KFP component ``report``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-report:0.1.0", install_kfp_package=False)
def report(
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    result: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    provenance: dsl.Output[dsl.Artifact],
    telemetry: dsl.Output[dsl.Artifact],
    manifest: dsl.Input[dsl.Artifact] = None,
    seeds: dsl.Input[dsl.Dataset] = None,
    instructions: dsl.Input[dsl.Dataset] = None,
    rejected: dsl.Input[dsl.Dataset] = None,
    duplicates: dsl.Input[dsl.Dataset] = None,
    rounds: dsl.Input[dsl.Dataset] = None,
    rejected_2: dsl.Input[dsl.Dataset] = None,
    rejected_3: dsl.Input[dsl.Dataset] = None,
    rejected_4: dsl.Input[dsl.Dataset] = None,
    rejected_5: dsl.Input[dsl.Dataset] = None,
    rejected_6: dsl.Input[dsl.Dataset] = None,
    rejected_7: dsl.Input[dsl.Dataset] = None,
    rejected_8: dsl.Input[dsl.Dataset] = None,
    rounds_2: dsl.Input[dsl.Dataset] = None,
    rounds_3: dsl.Input[dsl.Dataset] = None,
    rounds_4: dsl.Input[dsl.Dataset] = None,
    rounds_5: dsl.Input[dsl.Dataset] = None,
    rounds_6: dsl.Input[dsl.Dataset] = None,
    rounds_7: dsl.Input[dsl.Dataset] = None,
    rounds_8: dsl.Input[dsl.Dataset] = None,
    ppo_curves: dsl.Input[dsl.Dataset] = None,
    ppo_episodes: dsl.Input[dsl.Dataset] = None,
    ppo_alarms: dsl.Input[dsl.Artifact] = None,
    ppo_provenance: dsl.Input[dsl.Artifact] = None,
    instances_rl: dsl.Input[dsl.Dataset] = None,
    rejected_rl: dsl.Input[dsl.Dataset] = None,
    unselected_rl: dsl.Input[dsl.Dataset] = None,
    writing_rl: dsl.Input[dsl.Artifact] = None,
    used_rl: dsl.Input[dsl.Dataset] = None,
    history_rl: dsl.Input[dsl.Dataset] = None,
    tuning_rl: dsl.Input[dsl.Artifact] = None,
    predictions_rl: dsl.Input[dsl.Dataset] = None,
    judging_rl: dsl.Input[dsl.Artifact] = None,
    instances_baseline: dsl.Input[dsl.Dataset] = None,
    rejected_baseline: dsl.Input[dsl.Dataset] = None,
    unselected_baseline: dsl.Input[dsl.Dataset] = None,
    writing_baseline: dsl.Input[dsl.Artifact] = None,
    used_baseline: dsl.Input[dsl.Dataset] = None,
    history_baseline: dsl.Input[dsl.Dataset] = None,
    tuning_baseline: dsl.Input[dsl.Artifact] = None,
    predictions_baseline: dsl.Input[dsl.Dataset] = None,
    judging_baseline: dsl.Input[dsl.Artifact] = None,
    instances_best_of_n: dsl.Input[dsl.Dataset] = None,
    rejected_best_of_n: dsl.Input[dsl.Dataset] = None,
    unselected_best_of_n: dsl.Input[dsl.Dataset] = None,
    writing_best_of_n: dsl.Input[dsl.Artifact] = None,
    used_best_of_n: dsl.Input[dsl.Dataset] = None,
    history_best_of_n: dsl.Input[dsl.Dataset] = None,
    tuning_best_of_n: dsl.Input[dsl.Artifact] = None,
    predictions_best_of_n: dsl.Input[dsl.Dataset] = None,
    judging_best_of_n: dsl.Input[dsl.Artifact] = None,
    predictions_start: dsl.Input[dsl.Dataset] = None,
    judging_start: dsl.Input[dsl.Artifact] = None,
    writing_baseline_b: dsl.Input[dsl.Artifact] = None,
    used_baseline_b: dsl.Input[dsl.Dataset] = None,
    tuning_baseline_b: dsl.Input[dsl.Artifact] = None,
    predictions_baseline_b: dsl.Input[dsl.Dataset] = None,
    judging_baseline_b: dsl.Input[dsl.Artifact] = None,
    predictions_size_1: dsl.Input[dsl.Dataset] = None,
    predictions_size_2: dsl.Input[dsl.Dataset] = None,
    predictions_size_3: dsl.Input[dsl.Dataset] = None,
    predictions_size_4: dsl.Input[dsl.Dataset] = None,
    predictions_size_5: dsl.Input[dsl.Dataset] = None,
    predictions_size_6: dsl.Input[dsl.Dataset] = None,
    predictions_size_7: dsl.Input[dsl.Dataset] = None,
    predictions_size_8: dsl.Input[dsl.Dataset] = None,
    seed: int = 1,
    resamples: int = 2000,
    sizes: str = "",
    work_dir: str = "",
    label: str = "",
) -> None:
    """One self-contained HTML report: did RL help, on which tasks, where every row went.

    Source: REFINE-AF, section on results: share of tasks that improve over the non-RL pipeline.

    Args:
        report: The report.
        summary: The same content for the KFP UI.
        result: The answer, and three numbers per arm.
        metrics: Deterministic numbers.
        provenance: Parameters, digests of inputs and code that decided the rows.
        telemetry: Seconds, rates, host: all that differs between equal runs.
        manifest: What the run read, with digests. Optional.
        seeds: Seed tasks. Optional.
        instructions: Instructions after all filters. Optional.
        rejected: Instructions that the bootstrap dropped. Optional.
        duplicates: Instructions that the filter dropped. Optional.
        rounds: Rounds of the bootstrap. Optional.
        rejected_2: The same of shard 1. Optional.
        rejected_3: The same of shard 2. Optional.
        rejected_4: The same of shard 3. Optional.
        rejected_5: The same of shard 4. Optional.
        rejected_6: The same of shard 5. Optional.
        rejected_7: The same of shard 6. Optional.
        rejected_8: The same of shard 7. Optional.
        rounds_2: The same of shard 1. Optional.
        rounds_3: The same of shard 2. Optional.
        rounds_4: The same of shard 3. Optional.
        rounds_5: The same of shard 4. Optional.
        rounds_6: The same of shard 5. Optional.
        rounds_7: The same of shard 6. Optional.
        rounds_8: The same of shard 7. Optional.
        ppo_curves: Numbers per PPO update. Optional.
        ppo_episodes: PPO episodes. Optional.
        ppo_alarms: Signs of reward hacking. Optional.
        ppo_provenance: Provenance of train_ppo. Optional.
        instances_rl: Scored instances of the arm rl. Optional.
        rejected_rl: Instances that were dropped when they were written, of the arm rl. Optional.
        unselected_rl: Instances that the selection by reward dropped, of the arm rl. Optional.
        writing_rl: Provenance of generate_instances, of the arm rl. Optional.
        used_rl: Rows that fine-tuning used or left out, of the arm rl. Optional.
        history_rl: Loss per step of fine-tuning, of the arm rl. Optional.
        tuning_rl: Provenance of train_sft, of the arm rl. Optional.
        predictions_rl: Scored answers to the evaluation tasks, of the arm rl. Optional.
        judging_rl: Provenance of evaluate, of the arm rl. Optional.
        instances_baseline: Scored instances of the arm baseline. Optional.
        rejected_baseline: Instances that were dropped when they were written, of the arm
            baseline. Optional.
        unselected_baseline: Instances that the selection by reward dropped, of the arm baseline.
            Optional.
        writing_baseline: Provenance of generate_instances, of the arm baseline. Optional.
        used_baseline: Rows that fine-tuning used or left out, of the arm baseline. Optional.
        history_baseline: Loss per step of fine-tuning, of the arm baseline. Optional.
        tuning_baseline: Provenance of train_sft, of the arm baseline. Optional.
        predictions_baseline: Scored answers to the evaluation tasks, of the arm baseline.
            Optional.
        judging_baseline: Provenance of evaluate, of the arm baseline. Optional.
        instances_best_of_n: Scored instances of the arm best_of_n. Optional.
        rejected_best_of_n: Instances that were dropped when they were written, of the arm
            best_of_n. Optional.
        unselected_best_of_n: Instances that the selection by reward dropped, of the arm
            best_of_n. Optional.
        writing_best_of_n: Provenance of generate_instances, of the arm best_of_n. Optional.
        used_best_of_n: Rows that fine-tuning used or left out, of the arm best_of_n. Optional.
        history_best_of_n: Loss per step of fine-tuning, of the arm best_of_n. Optional.
        tuning_best_of_n: Provenance of train_sft, of the arm best_of_n. Optional.
        predictions_best_of_n: Scored answers to the evaluation tasks, of the arm best_of_n.
            Optional.
        judging_best_of_n: Provenance of evaluate, of the arm best_of_n. Optional.
        predictions_start: Scored answers to the evaluation tasks, of the arm start. Optional.
        judging_start: Provenance of evaluate, of the arm start. Optional.
        writing_baseline_b: Provenance of generate_instances, of the arm baseline_b. Optional.
        used_baseline_b: Rows that fine-tuning used or left out, of the arm baseline_b. Optional.
        tuning_baseline_b: Provenance of train_sft, of the arm baseline_b. Optional.
        predictions_baseline_b: Scored answers to the evaluation tasks, of the arm baseline_b.
            Optional.
        judging_baseline_b: Provenance of evaluate, of the arm baseline_b. Optional.
        predictions_size_1: Answers after training on less. Optional.
        predictions_size_2: Answers after training on less. Optional.
        predictions_size_3: Answers after training on less. Optional.
        predictions_size_4: Answers after training on less. Optional.
        predictions_size_5: Answers after training on less. Optional.
        predictions_size_6: Answers after training on less. Optional.
        predictions_size_7: Answers after training on less. Optional.
        predictions_size_8: Answers after training on less. Optional.
        seed: Seed of the bootstrap and of the samples shown.
        resamples: Resamples of the bootstrap intervals.
        sizes: Arm and rows of each predictions_size input: rl:500,baseline:500,...
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("report", locals())
