"""Membership inference: can the model's training rows be distinguished from held-out ones?"""

from typing import Any, Literal

from refine_af.contracts.jsonl import iter_objects, read_rows, write_object, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import Instance
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.params import ModelParams


class AuditParams(ModelParams):
    """The attacked model and the template of its rows; ``seed`` is also that of ``mix``."""

    template: Literal["plain", "alpaca", "mix", "chat"] = param(
        "plain", "Words around a row: the template that train_sft used."
    )
    resamples: int = param(1000, "Resamples of the bootstrap interval.", ge=100)


def run(params: AuditParams, task: Task) -> Metrics:
    """Measure losses with and without the adapter and attack by them."""
    from refine_af.evaluation.membership import LEAST_ROWS, audit

    trained = {
        row["id"]
        for _, row in iter_objects(task.inputs["used"])
        if row["source"] == "instance" and not row["cut"]
    }
    members = [row for row in read_rows(task.inputs["instances"], Instance) if row.id in trained]
    others = read_rows(task.inputs["held_out"], Instance)
    few = min(len(members), len(others)) < LEAST_ROWS
    losses = {} if few else _losses(params, task, members, others)
    attacks = {} if few else audit(losses, params.seed, params.resamples)
    if few:
        task.progress.say(
            f"not audited: {len(members)} members and {len(others)} held-out rows, at least"
            f" {LEAST_ROWS} of each are needed; raise generate_responses.held_out_share"
        )
    for name, result in attacks.items():
        if result["warning"]:
            task.progress.say(f"{name}: {result['warning']}")
    result = {"members": len(members), "held_out": len(others), "attacks": attacks}
    write_object(task.outputs["audit"], result)
    write_rows(task.outputs["losses"], _rows(members, others, losses) if losses else [])
    return {"members": len(members), "held_out": len(others)} | {
        f"{name}_{number}": result[number]
        for name, result in attacks.items()
        for number in ("auc", "low", "high", "tpr_at_1_percent")
    }


def _losses(
    params: AuditParams, task: Task, members: list[Instance], others: list[Instance]
) -> dict[str, tuple[list[float], list[float]]]:
    from refine_af.sft.losses import completion_losses

    models = {"target": task.inputs["adapter"], "base": None}
    if "reference" in task.inputs:
        models["reference"] = task.inputs["reference"]
    losses = {}
    for number, (name, adapter) in enumerate(models.items(), start=1):
        rows = [*members, *others]
        values = completion_losses(params.model, adapter, rows, params.template, params.seed)
        losses[name] = (values[: len(members)], values[len(members) :])
        task.progress.step(number, len(models), "models")
    return losses


def _rows(
    members: list[Instance],
    others: list[Instance],
    losses: dict[str, tuple[list[float], list[float]]],
) -> list[dict[str, Any]]:
    scored = []
    for side, rows in enumerate((members, others)):
        for index, row in enumerate(rows):
            values = {name: both[side][index] for name, both in losses.items()}
            scored.append({"id": row.id, "member": side == 0} | values)
    return scored


STAGE = Stage(
    name="audit_privacy",
    summary="Membership inference on the fine-tuned model, with held-out rows split by root.",
    params=AuditParams,
    run=run,
    inputs=(
        Artifact("adapter", "model", "The fine-tuned model's adapter (train_sft)."),
        Artifact("instances", "rows", "Rows that were offered to train_sft.", record=Instance),
        Artifact("used", "rows", "Which of them it trained on (train_sft)."),
        Artifact(
            "held_out", "rows", "Rows of held-out roots (generate_responses).", record=Instance
        ),
        Artifact(
            "reference",
            "model",
            "Adapter trained on other rows of the same origin: adds the reference-model attack.",
            optional=True,
        ),
    ),
    outputs=(
        Artifact(
            "audit",
            "json",
            "AUC with interval and true-positive rate at 1 % of each attack.",
            shown=True,
        ),
        Artifact("losses", "rows", "Mean loss per completion token of every row and model."),
    ),
    image="train",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Calibrated loss attack (arXiv 2111.08440); LiRA's reporting (arXiv 2112.03570).",
)
