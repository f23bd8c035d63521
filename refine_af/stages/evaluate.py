"""Answers of one model to unseen tasks, zero-shot, and their official scores."""

from typing import TYPE_CHECKING, Any

from refine_af.calls.journalled import journalled
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import write_object, write_rows
from refine_af.contracts.params import param, rule
from refine_af.contracts.readable import readable
from refine_af.contracts.records import Prediction
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.evaluation.params import AnswerParams
from refine_af.evaluation.summary import official, summarise
from refine_af.evaluation.task_sets import load_tasks
from refine_af.evaluation.tasks import EvaluationTask, TaskInstance
from refine_af.storage.sources import fetch_named, fetch_source

if TYPE_CHECKING:
    from refine_af.evaluation.metrics import Tokenizer

MAX_REFUSED = 0.01
"""Largest share of questions that may be refused (too long): they count as wrong answers."""


class EvaluateParams(AnswerParams, EngineParams):
    """Which tasks, how they are asked, how they are answered."""

    lm_eval: str = param(
        "",
        "Tasks of lm-evaluation-harness beside, comma separated: names or .yaml files.",
        names="harness",
    )

    @rule("lm_eval")
    def harness_runs_the_engine(self) -> str:
        """The harness has backends of its own for two engines."""
        if self.lm_eval and self.engine not in ("transformers", "vllm"):
            return f"the harness runs on transformers or vllm, and engine is {self.engine!r}"
        return ""


def run(params: EvaluateParams, task: Task) -> Metrics:
    """Answer every instance greedily and score it as the official evaluation does."""
    from refine_af.evaluation.gpt2_tokens import track_tokenizer

    task_set = load_tasks([fetch_source(params.tasks_uri, task.scratch)], first=params.instances)
    if params.tasks_digest and task_set.digest != params.tasks_digest:
        raise DataError(
            f"{params.tasks_uri}: the tasks' digest is {task_set.digest}, expected"
            f" {params.tasks_digest}; the tasks changed since they were checked"
        )
    tokenizer = track_tokenizer(task_set.tasks, fetch_named(params.gpt2_tokenizer, task.scratch))
    questions = [(item, instance) for item in task_set.tasks for instance in item.instances]
    sampling = Sampling(
        max_tokens=params.max_tokens,
        temperature=0.0,
        stop=(params.stop_text,) if params.stop else (),
    )
    requests = [
        Request(f"{item.name}/{instance.id}", _prompt(params, item, instance), params.seed)
        for item, instance in questions
    ]
    engine = journalled(params, task, open_engine, max_refused=MAX_REFUSED, unit="questions")
    answers = engine.generate(requests, sampling)
    engine.finish()
    rows = [
        _scored(*pair, answer, tokenizer) for pair, answer in zip(questions, answers, strict=True)
    ]
    write_rows(task.outputs["predictions"], rows)
    return _write_scores(rows, task, _beside(params, task))


def _beside(params: EvaluateParams, task: Task) -> dict[str, Any]:
    """Return what the harness says of the tasks that it was asked for."""
    if not params.lm_eval:
        return {}
    from refine_af.engines.harness import harness_scores

    adapter = task.inputs.get("adapter")
    return harness_scores(
        params.lm_eval,
        params.engine,
        params.model,
        adapter,
        batch_size=params.engine_batch,
        seed=params.seed,
    )


def _prompt(params: EvaluateParams, item: EvaluationTask, instance: TaskInstance) -> str:
    from refine_af.evaluation.prompts import render_prompt

    template = params.prompt
    if template == "auto":
        template = "bare" if params.asks_by_chat else "tk_instruct"
    return render_prompt(template, item.definition, instance.input)


def _scored(
    item: EvaluationTask, instance: TaskInstance, answer: Completion, tokenizer: "Tokenizer | None"
) -> Prediction:
    from refine_af.evaluation.predictions import score_answer

    if answer.finish == "error":
        empty = score_answer(item, instance, "", tokenizer)
        row = empty.model_copy(update={"failed": answer.error or "no answer"})
    else:
        row = score_answer(item, instance, readable(answer.text).strip(), tokenizer)
    kept = {"input": readable(instance.input), "thinking": readable(answer.thinking)}
    return row.model_copy(update=kept)


def _write_scores(rows: list[Prediction], task: Task, beside: dict[str, Any]) -> Metrics:
    summary = summarise(rows)
    scores = official(summary) | ({"lm_eval": beside} if beside else {})
    write_object(task.outputs["scores"], scores)
    return {
        "tasks": len(summary.per_task),
        "instances": len(rows),
        "failed": sum(bool(row.failed) for row in rows),
        "rouge_l": 100 * summary.overall.rouge_l,
        "exact_match": 100 * summary.overall.exact_match,
        **{
            f"lm_eval_{name}_{metric.replace(',', '_')}": value
            for name, result in beside.get("tasks", {}).items()
            for metric, value in result["metrics"].items()
        },
    }


STAGE = Stage(
    name="evaluate",
    summary="Answer unseen tasks zero-shot and score them with the official SUPER-NI metrics.",
    params=EvaluateParams,
    run=run,
    inputs=(
        Artifact("adapter", "model", "What a training wrote; without it the model as it is.", True),
    ),
    outputs=(
        Artifact(
            "predictions",
            "rows",
            "One row per instance with both scores.",
            record=Prediction,
            shown=True,
        ),
        Artifact("scores", "json", "Per task, per category and overall, times 100."),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="REFINE-AF, evaluation on unseen SUPER-NI tasks; Tk-Instruct (arXiv 2204.07705).",
)
