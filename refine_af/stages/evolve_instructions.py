"""Evolves seeds into new instructions by textual operations, and records every row's lineage."""

from typing import TYPE_CHECKING

from refine_af.contracts.jsonl import write_object, write_rows
from refine_af.contracts.records import Evolved, ModelCall, OperatorStep, Rejected, Seed, content_id
from refine_af.contracts.stage import MODEL_CALLS, Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.text import TextEngine
from refine_af.evolve.assembly import (
    BANK_INPUT,
    bank_of,
    finish,
    make_evolver,
    open_engines,
    operators_of,
    roots_of,
    write_bank,
)
from refine_af.evolve.params import EvolveParams

if TYPE_CHECKING:
    from refine_af.evolve.frontier import Root
    from refine_af.evolve.ledger import Ledger
    from refine_af.evolve.operators import Operators
    from refine_af.evolve.policies import OperatorPolicy


def run(params: EvolveParams, task: Task) -> Metrics:
    """Evolve all seeds at once, pass by pass."""
    from refine_af.evolve.ledger import Ledger

    operators = operators_of(params, task)
    roots = roots_of(params, task)
    ledger = Ledger()
    steps: list[OperatorStep] = []
    calls: list[ModelCall] = []
    kept = [_seed_row(root, operators) for root in roots if _with_seeds(params)]
    if params.policy != "no_evolution":
        steps, evolved, calls = _evolve(params, task, operators, roots, ledger)
        kept += evolved
    write_rows(task.outputs["instructions"], kept)
    write_rows(task.outputs["rejected"], [_rejected(row) for row in steps if row.reason])
    write_rows(task.outputs["trace"], steps)
    write_rows(task.outputs["calls"], calls)
    write_bank(
        task.outputs["bank_out"],
        task.inputs.get("bank"),
        [row.instruction for row in kept if row.step],
    )
    write_object(task.outputs["ledger"], ledger.dump())
    return _metrics(kept, steps, ledger)


def _evolve(
    params: EvolveParams,
    task: Task,
    operators: "Operators",
    roots: "list[Root]",
    ledger: "Ledger",
) -> tuple[list[OperatorStep], list[Evolved], list[ModelCall]]:
    engines = open_engines(params, task)
    policy = _open_policy(params, task, operators, engines[0], ledger)
    evolver = make_evolver(
        params, operators, engines, bank_of(params, task), ledger, params.max_calls
    )
    steps: list[OperatorStep] = []
    kept: list[Evolved] = []
    for number in range(params.passes):

        def on_step(done: int, held: int, number: int = number, before: int = len(kept)) -> None:
            total = params.passes * params.steps
            task.progress.step(number * params.steps + done, total, "steps", kept=before + held)

        episode = evolver.run(roots, policy, phase="evolve", update=number, on_step=on_step)
        steps += episode.steps
        kept += episode.kept
        if not episode.steps:
            break
    finish(engines)
    shown = {_turn(row): row.parents for row in steps}

    def parents(request: str) -> tuple[str, ...]:
        # Answers that are sampled for the frontier reward show no row.
        return shown.get(request.rpartition("/")[0], ())

    calls = [row for engine in dict.fromkeys(engines) for row in engine.calls(parents)]
    return steps, kept, calls


def _turn(row: OperatorStep) -> str:
    """Return the common prefix of this step's calls; see ``evolve.frontier``."""
    return f"{row.phase}/{row.policy_seed}/{row.update}/{row.episode}/{row.step}"


def _open_policy(
    params: EvolveParams,
    task: Task,
    operators: "Operators",
    engine: TextEngine,
    ledger: "Ledger",
) -> "OperatorPolicy":
    from refine_af.evolve.operators import parse_mix
    from refine_af.evolve.policies import LanguageModelPolicy, MixPolicy, released_mix, uniform_mix

    if params.policy == "fixed_mix":
        return MixPolicy("fixed_mix", [parse_mix(params.mix, operators.names)], params.seed)
    if params.policy == "released_mix":
        return released_mix(operators, params.seed)
    if params.policy == "llm":
        return LanguageModelPolicy(operators, engine, params.seed, ledger)
    if params.policy == "learned":
        return _learned(params, task, operators)
    return uniform_mix(operators, params.seed)


def _learned(params: EvolveParams, task: Task, operators: "Operators") -> "OperatorPolicy":
    from refine_af.evolve.embedding import open_embedding
    from refine_af.evolve.policies import TrainedPolicy
    from refine_af.evolve.trained import load_policy
    from refine_af.storage.manifest import digest_path

    folder = task.inputs["operator_policy"]
    policy = load_policy(folder, operators, open_embedding(params.embedding).name)
    if policy.facts["steps"] != params.steps:
        task.progress.say(
            f"the policy was trained on {policy.facts['steps']} steps, this run has"
            f" {params.steps}: its features of the step are off"
        )
    name = f"learned:{digest_path(folder)[:12]}"
    return TrainedPolicy(name, policy, params.seed, params.exploration)


def _with_seeds(params: EvolveParams) -> bool:
    return params.keep_seeds or params.policy == "no_evolution"


def _seed_row(root: "Root", operators: "Operators") -> Evolved:
    return Evolved(
        id=content_id("evo", root.id),
        parents=(root.id,),
        instruction=root.instruction,
        input=root.input,
        root=root.id,
        policy="seed",
        operators=operators.digest,
        cluster=root.cluster,
    )


def _rejected(row: OperatorStep) -> Rejected:
    return Rejected.make(
        "evolve_instructions",
        row.reason,
        row.text,
        row.parents,
        key=row.id,
        score=row.changed,
        detail=row.detail,
        request=f"{_turn(row)}/rewrite",
    )


def _metrics(kept: list[Evolved], steps: list[OperatorStep], ledger: "Ledger") -> Metrics:
    from refine_af.evolve.frontier import reasons

    tried = [row for row in steps if row.status != "stopped"]
    reviewed = [row for row in tried if row.changed is not None]
    metrics: Metrics = {
        "kept": len(kept),
        "tried": len(tried),
        "accepted_share": sum(row.status == "kept" for row in tried) / max(len(tried), 1),
        "reward": sum(row.reward for row in tried) / max(len(tried), 1),
        "calls": ledger.calls("evolver", "judge", "chooser", "responder"),
    }
    if reviewed:
        accepted = sum(row.status == "kept" for row in reviewed)
        metrics["reviewer_accepted_share"] = accepted / len(reviewed)
    return metrics | {f"rejected_{name}": count for name, count in sorted(reasons(steps).items())}


STAGE = Stage(
    name="evolve_instructions",
    summary="Evolve seeds by textual operations; drop what fails, keep lineage and reasons.",
    params=EvolveParams,
    run=run,
    inputs=(
        Artifact("seeds", "rows", "Seed tasks to start from.", record=Seed),
        Artifact("operator_policy", "folder", "Policy of train_operator_policy.", optional=True),
        BANK_INPUT,
    ),
    outputs=(
        Artifact(
            "instructions",
            "rows",
            "Kept instructions with root, parent and operator.",
            record=Evolved,
        ),
        Artifact("rejected", "rows", "Dropped rewrites with the rule.", record=Rejected),
        Artifact(
            "trace",
            "rows",
            "Every operation tried, kept or not.",
            record=OperatorStep,
            shown=True,
        ),
        MODEL_CALLS,
        Artifact("ledger", "json", "Calls and tokens per role and phase.", shown=True),
        Artifact("bank_out", "rows", "The memory bank with what was written."),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="TeaMs-RL (arXiv 2403.08694); Evol-Instruct (WizardLM, 2304.12244), section 3.2.",
)
