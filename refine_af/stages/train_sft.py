"""LoRA fine-tuning on instances: paired arms train on the same instructions and counts."""

from pathlib import Path
from typing import TYPE_CHECKING

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.sft.params import SFTParams

if TYPE_CHECKING:
    from refine_af.processes.group import Processes
    from refine_af.sft.run import Material

MATCHES = ("match", "match_2", "match_3")


def run(params: SFTParams, task: Task) -> Metrics:
    """Choose the rows, train, and write weights, history and the list of rows."""
    from refine_af.processes.start import started
    from refine_af.sft.run import Material, fine_tune

    with_seeds = params.include_seed_tasks and "seeds" in task.inputs
    material = Material(
        instances=_instances(task, "instances"),
        others=[_instances(task, name) for name in MATCHES if name in task.inputs],
        seeds=read_rows(task.inputs["seeds"], Seed) if with_seeds else [],
    )
    shared = (material, params, task.scratch)
    with started(params.processes, _fine_tune_rank, *shared) as processes:
        outcome = fine_tune(
            material,
            params,
            _model_path(params, processes),
            task.outputs["adapter"],
            journal=task.journal,
            progress=task.progress,
            scratch=task.scratch,
            processes=processes,
        )
    _merge(params, task)
    write_rows(task.outputs["history"], outcome.history)
    write_rows(task.outputs["used"], outcome.used)
    task.telemetry.update(outcome.telemetry)
    return outcome.metrics


def _fine_tune_rank(
    processes: "Processes", material: "Material", params: SFTParams, scratch: Path
) -> None:
    from refine_af.sft.run import fine_tune_rank

    fine_tune_rank(processes, material, params, _model_path(params, processes), scratch)


def _model_path(params: SFTParams, processes: "Processes") -> str:
    from refine_af.engines.models import resolve_model

    return processes.once_per_node(lambda: str(resolve_model(params.model)))


def _merge(params: SFTParams, task: Task) -> None:
    """Write the merged model, or a page that says how to get it: every output must be there."""
    target = task.outputs["merged"]
    if params.merge and params.method != "full":
        from refine_af.engines.models import resolve_model
        from refine_af.sft.base_model import save_merged

        save_merged(str(resolve_model(params.model)), task.outputs["adapter"], target)
        return
    target.mkdir()
    text = "No merged model was asked for: set the parameter `merge` of train_sft.\n"
    if params.method == "full":
        text = "Every weight was trained: the output `adapter` is the whole model.\n"
    (target / "README.md").write_text(text, encoding="utf-8")


def _instances(task: Task, name: str) -> list[Instance]:
    rows = read_rows(task.inputs[name], Instance)
    if not rows:
        raise DataError(f"train_sft: input {name!r} holds no row; nothing can be trained on")
    return rows


STAGE = Stage(
    name="train_sft",
    summary="Fine-tune the base model on instances; loss on the completions only.",
    params=SFTParams,
    run=run,
    inputs=(
        Artifact(
            "instances", "rows", "Instruction-input-output rows to train on.", record=Instance
        ),
        Artifact(
            "match",
            "rows",
            "Rows of another arm: only instructions that both hold are trained on, with equal"
            " counts.",
            optional=True,
        ),
        *[Artifact(name, "rows", "Rows of a further arm, likewise.", True) for name in MATCHES[1:]],
        Artifact(
            "seeds",
            "rows",
            "Seed tasks, trained on too where asked for.",
            optional=True,
            record=Seed,
        ),
    ),
    outputs=(
        Artifact("adapter", "model", "PEFT adapter with its page, or the full model."),
        Artifact("merged", "model", "Base and adapter in one, where `merge` asks for it."),
        Artifact("history", "rows", "One row per optimizer step: loss, rate, tokens.", shown=True),
        Artifact(
            "used", "rows", "Every offered row: its tokens, or why it was left out.", shown=True
        ),
    ),
    image="train",
    resources=Resources(cpu="8", memory="32Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 2.3 and appendix A.3; REFINE-AF, stage 3."
    " LoRA instead of full fine-tuning is the default.",
)
