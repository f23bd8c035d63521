"""KFP component ``audit_privacy``. Written by ``make gen``: do not edit."""

from kfp import dsl


@dsl.component(base_image="refine-af-audit_privacy:0.1.0", install_kfp_package=False)
def audit_privacy(
    adapter: dsl.Input[dsl.Model],
    instances: dsl.Input[dsl.Dataset],
    used: dsl.Input[dsl.Dataset],
    held_out: dsl.Input[dsl.Dataset],
    audit: dsl.Output[dsl.Artifact],
    losses: dsl.Output[dsl.Dataset],
    records: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    reference: dsl.Input[dsl.Model] = None,
    before: dsl.Input[dsl.Artifact] = None,
    model: str = "builtin:tiny",
    model_digest: str = "",
    seed: int = 1,
    chat: str = "auto",
    template: str = "plain",
    resamples: int = 1000,
    work_dir: str = "",
    label: str = "",
) -> None:
    """Membership inference on the fine-tuned model, with held-out rows split by root.

    Source: Calibrated loss attack (arXiv 2111.08440); LiRA's reporting (arXiv 2112.03570).

    Args:
        adapter: The fine-tuned model's adapter (train_sft).
        instances: Rows that were offered to train_sft.
        used: Which of them it trained on (train_sft).
        held_out: Rows of held-out roots (generate_responses).
        audit: AUC with interval and true-positive rate at 1 % of each attack.
        losses: Mean loss per completion token of every row and model.
        records: Metrics, provenance and telemetry; and what the report shows of this task and
            those before.
        metrics: Deterministic numbers, for KFP's tables.
        reference: Adapter trained on other rows of the same origin: adds the reference-model
            attack. Optional.
        before: Records of the task before this one. Optional.
        model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.
        model_digest: Digest or revision of the model, as check_inputs found it.
        seed: Seed of all randomness.
        chat: Ask through the model's chat template: yes, no, or auto: where it has one (the
            engines transformers and vllm; for others auto is no).
        template: Words around a row: the template that train_sft used.
        resamples: Resamples of the bootstrap interval.
        work_dir: Folder or URI of the journals; a retried task continues from there.
        label: Tells apart several tasks of this stage in progress reports.
    """
    from refine_af.component import run_component

    run_component("audit_privacy", locals())
