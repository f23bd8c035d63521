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
    seed: int = 1,
    resamples: int = 2000,
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
        seed: Seed of the bootstrap and of the samples shown.
        resamples: Resamples of the bootstrap intervals.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.runner import run_stage

    found = run_stage(
        "report",
        inputs={
            "manifest": manifest.path if manifest else "", "seeds": seeds.path if seeds else "",
            "instructions": instructions.path if instructions else "",
            "rejected": rejected.path if rejected else "",
            "duplicates": duplicates.path if duplicates else "",
            "rounds": rounds.path if rounds else "",
            "rejected_2": rejected_2.path if rejected_2 else "",
            "rejected_3": rejected_3.path if rejected_3 else "",
            "rejected_4": rejected_4.path if rejected_4 else "",
            "rejected_5": rejected_5.path if rejected_5 else "",
            "rejected_6": rejected_6.path if rejected_6 else "",
            "rejected_7": rejected_7.path if rejected_7 else "",
            "rejected_8": rejected_8.path if rejected_8 else "",
            "rounds_2": rounds_2.path if rounds_2 else "",
            "rounds_3": rounds_3.path if rounds_3 else "",
            "rounds_4": rounds_4.path if rounds_4 else "",
            "rounds_5": rounds_5.path if rounds_5 else "",
            "rounds_6": rounds_6.path if rounds_6 else "",
            "rounds_7": rounds_7.path if rounds_7 else "",
            "rounds_8": rounds_8.path if rounds_8 else "",
            "ppo_curves": ppo_curves.path if ppo_curves else "",
            "ppo_episodes": ppo_episodes.path if ppo_episodes else "",
            "ppo_alarms": ppo_alarms.path if ppo_alarms else "",
            "ppo_provenance": ppo_provenance.path if ppo_provenance else "",
            "instances_rl": instances_rl.path if instances_rl else "",
            "rejected_rl": rejected_rl.path if rejected_rl else "",
            "unselected_rl": unselected_rl.path if unselected_rl else "",
            "writing_rl": writing_rl.path if writing_rl else "",
            "used_rl": used_rl.path if used_rl else "",
            "history_rl": history_rl.path if history_rl else "",
            "tuning_rl": tuning_rl.path if tuning_rl else "",
            "predictions_rl": predictions_rl.path if predictions_rl else "",
            "judging_rl": judging_rl.path if judging_rl else "",
            "instances_baseline": instances_baseline.path if instances_baseline else "",
            "rejected_baseline": rejected_baseline.path if rejected_baseline else "",
            "unselected_baseline": unselected_baseline.path if unselected_baseline else "",
            "writing_baseline": writing_baseline.path if writing_baseline else "",
            "used_baseline": used_baseline.path if used_baseline else "",
            "history_baseline": history_baseline.path if history_baseline else "",
            "tuning_baseline": tuning_baseline.path if tuning_baseline else "",
            "predictions_baseline": predictions_baseline.path if predictions_baseline else "",
            "judging_baseline": judging_baseline.path if judging_baseline else "",
            "instances_best_of_n": instances_best_of_n.path if instances_best_of_n else "",
            "rejected_best_of_n": rejected_best_of_n.path if rejected_best_of_n else "",
            "unselected_best_of_n": unselected_best_of_n.path if unselected_best_of_n else "",
            "writing_best_of_n": writing_best_of_n.path if writing_best_of_n else "",
            "used_best_of_n": used_best_of_n.path if used_best_of_n else "",
            "history_best_of_n": history_best_of_n.path if history_best_of_n else "",
            "tuning_best_of_n": tuning_best_of_n.path if tuning_best_of_n else "",
            "predictions_best_of_n": predictions_best_of_n.path if predictions_best_of_n else "",
            "judging_best_of_n": judging_best_of_n.path if judging_best_of_n else "",
            "predictions_start": predictions_start.path if predictions_start else "",
            "judging_start": judging_start.path if judging_start else ""
        },
        outputs={
            "report": report.path, "summary": summary.path, "result": result.path,
            "metrics": metrics.path, "provenance": provenance.path, "telemetry": telemetry.path
        },
        params={
            "seed": seed, "resamples": resamples
        },
        work_dir=work_dir,
        label=label,
    )
    for name, value in found.items():
        metrics.log_metric(name, value)
