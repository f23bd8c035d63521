"""The uses of a row: PPO episodes on its instruction, and fine-tunings that read it."""

from typing import Any

from refine_af.contracts.jsonl import JsonObject
from refine_af.lineage.row_file import spelled
from refine_af.lineage.run import Run, RunTask

_EPISODE = ("update", "place", "advantage", "total", "kl", "finish", "parseable", "tokens", "seed")
_TRAINING = ("model", "method", "template", "epochs", "max_steps", "learning_rate", "lora_rank")


def episodes_of(run: Run, instruction: str) -> list[dict[str, Any]]:
    """Return the PPO episodes that acted on an instruction, in the order of training."""
    episodes: list[dict[str, Any]] = []
    for task, rows in run.files("episodes", "train_ppo"):
        for row in rows.lines_with(b'"prompt_id": ' + spelled(instruction)):
            facts = {key: row[key] for key in _EPISODE if key in row}
            episodes.append({"task": task.name, **facts})
    return episodes


def trainings_of(run: Run, instance: str) -> list[dict[str, Any]]:
    """Return every fine-tuning that was offered an instance, and whether it trained on it."""
    trainings: list[dict[str, Any]] = []
    for task, rows in run.files("used", "train_sft"):
        row = rows.row(instance)
        if row is not None:
            trainings.append(_training(run, task, row))
    return trainings


def _training(run: Run, task: RunTask, row: JsonObject) -> dict[str, Any]:
    return {
        "task": task.name,
        "trained_on": not row["cut"],
        "reason": row.get("reason", ""),
        "tokens": row["tokens"],
        **{key: task.params[key] for key in _TRAINING if key in task.params},
        "adapter_digest": _adapter(run, task),
    }


def _adapter(run: Run, training: RunTask) -> str:
    """Return the digest of the weights, as the evaluation of the same arm read them."""
    arm = training.name.partition("-")[2]
    for task in run.of("evaluate"):
        if task.name.partition("-")[2] == arm:
            return task.input_digests.get("adapter", "")
    return ""
