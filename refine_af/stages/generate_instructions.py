"""The Self-Instruct bootstrap: a model writes new instructions from seeds and its own."""

import time
from typing import TYPE_CHECKING, Any, Literal

from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.text import Completion, Sampling, TextEngine
from refine_af.stages.engine_params import EngineParams, open_engine
from refine_af.stages.generation import dump_completions, load_completions, record_engine

if TYPE_CHECKING:
    from refine_af.self_instruct.bootstrap import Bootstrap

SAMPLING: dict[str, dict[str, Any]] = {
    "self_instruct": {"temperature": 0.7, "top_p": 0.5, "presence_penalty": 2.0},
    "small_lm": {"temperature": 0.9, "top_p": 0.95, "presence_penalty": 0.0},
}
"""``self_instruct``: the published values, tuned on a 175B model. ``small_lm``: project choice."""


class GenerateInstructionsParams(EngineParams):
    """How many, from which prompts, drawn how, filtered how."""

    target: int = param(15000, "Instructions to reach.", source="REFINE-AF: 15K per backbone", ge=1)
    shard: int = param(0, "Number of this shard; each has a random stream of its own.", ge=0)
    round_size: int = param(
        64,
        "Prompts drawn from one frozen pool; the published loop has 5, more keep a GPU busy.",
        source="Self-Instruct, bootstrap_instructions.py (5)",
        ge=1,
    )
    max_requests: int = param(20000, "Most requests before it ends.", ge=1)
    max_empty_rounds: int = param(5, "Ends after so many rounds without a new instruction.", ge=1)
    in_context: int = param(8, "Instructions shown.", source="Self-Instruct, section 3.1", ge=1)
    machine_in_context: int = param(
        2, "Of them written by the model, where there are any.", source="Self-Instruct", ge=0
    )
    sampling: Literal["self_instruct", "small_lm"] = param(
        "small_lm", "self_instruct (published values) or small_lm."
    )
    max_tokens: int = param(1024, "Most new tokens of a request.", source="Self-Instruct", ge=8)
    max_rouge_l: float = param(
        0.7, "Drop above this likeness.", source="Self-Instruct, section 3.1", gt=0.0, le=1.0
    )
    parity: bool = param(
        False,
        "Decide as the published code where small models need better: str.capitalize, and a cut"
        " completion dropped whole.",
    )
    alpaca_keywords: bool = param(False, "Also drop Alpaca's five further keywords.")


def run(params: GenerateInstructionsParams, task: Task) -> Metrics:
    """Run rounds until the target, the cap or saturation; every round is kept in the journal."""
    from refine_af.self_instruct.bootstrap import Bootstrap

    seeds = read_rows(task.inputs["seeds"], Seed)
    bootstrap = Bootstrap(seeds, _settings(params))
    engine: TextEngine | None = None
    completions: list[Completion] = []
    started, fresh = time.monotonic(), 0
    while not bootstrap.ended:
        requests = bootstrap.next_requests()
        name = f"round-{len(bootstrap.rounds):06d}"
        stored = task.journal.read(name)
        if stored is None:
            engine = engine or open_engine(params, None)
            answers = engine.generate(requests, _sampling(params))
            task.journal.publish(name, dump_completions(answers))
            fresh += sum(one.tokens for one in answers)
        else:
            answers = load_completions(stored)
        completions += answers
        bootstrap.take(answers)
        task.progress.step(
            min(len(bootstrap.kept), params.target),
            params.target,
            "instructions",
            requests=bootstrap.requests,
        )
    if engine is not None:
        record_engine(engine, task, completions, fresh, time.monotonic() - started)
        engine.close()
    return _write(bootstrap, task)


def _settings(params: GenerateInstructionsParams) -> Any:  # noqa: ANN401  BootstrapSettings
    from refine_af.self_instruct.bootstrap import BootstrapSettings

    names = BootstrapSettings.__dataclass_fields__
    return BootstrapSettings(**{name: getattr(params, name) for name in names})


def _sampling(params: GenerateInstructionsParams) -> Sampling:
    # numbers 9 to 15 may be written; "16." ends, as do blank lines (Self-Instruct's stop texts)
    last = params.in_context + 8
    stop = ("\n\n", f"\n{last}", f"{last}.", f"{last} .")
    return Sampling(max_tokens=params.max_tokens, stop=stop, **SAMPLING[params.sampling])


def _write(bootstrap: "Bootstrap", task: Task) -> Metrics:
    write_rows(task.outputs["instructions"], bootstrap.kept)
    write_rows(task.outputs["rejected"], bootstrap.rejected)
    write_rows(task.outputs["rounds"], bootstrap.rounds)
    reasons: dict[str, float] = {}
    for row in bootstrap.rejected:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    parsed = len(bootstrap.kept) + len(bootstrap.rejected)
    return {
        "kept": len(bootstrap.kept),
        "rejected": len(bootstrap.rejected),
        "acceptance": len(bootstrap.kept) / parsed if parsed else 0.0,
        "requests": bootstrap.requests,
        "rounds": len(bootstrap.rounds),
        **{f"rejected_{name}": count for name, count in sorted(reasons.items())},
    }


STAGE = Stage(
    name="generate_instructions",
    summary="Bootstrap new instructions from seeds with a language model (Self-Instruct).",
    params=GenerateInstructionsParams,
    run=run,
    inputs=(Artifact("seeds", "rows", "Seed tasks."),),
    outputs=(
        Artifact("instructions", "rows", "New instructions in the order they were accepted."),
        Artifact("rejected", "rows", "Dropped pieces with reason and neighbour."),
        Artifact("rounds", "rows", "The acceptance curve: counts per round."),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.",
)
