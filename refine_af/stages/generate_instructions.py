"""The Self-Instruct bootstrap: a model writes new instructions from seeds and its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refine_af.calls.journalled import journalled
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import Instruction, ModelCall, Rejected, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.text import Completion, Sampling
from refine_af.stages.engine_params import EngineParams, Opener, open_engine
from refine_af.storage.sources import fetch_rows_file

if TYPE_CHECKING:
    from refine_af.self_instruct.bootstrap import BootstrapSettings, Round


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
    temperature: float = param(0.0, "Instead of the sampling's own; 0 keeps that.", ge=0.0)
    max_tokens: int = param(1024, "Most new tokens of a request.", source="Self-Instruct", ge=8)
    max_rouge_l: float = param(
        0.7, "Drop above this likeness.", source="Self-Instruct, section 3.1", gt=0.0, le=1.0
    )
    known_uri: str = param(
        "",
        "Texts that no new instruction may repeat: builtin:training-instructions (what"
        " builtin:tiny was trained on), or JSON Lines with a column `instruction`.",
    )
    parity: bool = param(
        False,
        "Decide as the published code where small models need better: str.capitalize, and a cut"
        " completion dropped whole.",
    )
    alpaca_keywords: bool = param(False, "Also drop Alpaca's five further keywords.")


def run(params: GenerateInstructionsParams, task: Task, *, opener: Opener = open_engine) -> Metrics:
    """Run rounds until the target, the cap or saturation; every round is kept in the journal.

    Args:
        params: Of the stage.
        task: From the runner.
        opener: Opens the engine; another one puts an engine of the caller's in its place.
    """
    from refine_af.self_instruct.bootstrap import Bootstrap

    seeds = read_rows(task.inputs["seeds"], Seed)
    bootstrap = Bootstrap(
        seeds, bootstrap_settings(params), known_texts(params.known_uri, task.scratch)
    )
    engine = journalled(params, task, opener, unit="")
    found = Found()
    shown: dict[str, tuple[str, ...]] = {}
    while bootstrap.end is None:
        requests = bootstrap.next_requests()
        shown |= zip((request.id for request in requests), bootstrap.shown, strict=True)
        answers = engine.generate(requests, _sampling(params))
        found.take(answers, bootstrap.consume(answers))
        done = min(bootstrap.accepted, params.target)
        task.progress.step(done, params.target, "instructions", requests=bootstrap.requests)
    engine.finish()
    found.calls = list(engine.calls(shown.get))
    return write_found(found, bootstrap.requests, task.outputs)


@dataclass
class Found:
    """What the rounds brought, in order."""

    kept: list[Instruction] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rounds: list[dict[str, int]] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)

    def take(self, answers: Sequence[Completion], outcome: "Round") -> None:
        """Add one round."""
        self.kept += outcome.kept
        self.rejected += outcome.rejected
        failed = sum(answer.finish == "error" for answer in answers)
        self.rounds.append(
            {
                "round": len(self.rounds),
                "requested": len(answers),
                "returned": len(answers) - failed,
                "parsed": len(outcome.kept) + len(outcome.rejected) - failed,
                "kept": len(outcome.kept),
            }
        )


def known_texts(uri: str, scratch: Path) -> list[str]:
    """Return the texts that no new instruction may repeat."""
    if uri == "builtin:training-instructions":
        from refine_af.builtin.examples import training_instructions

        return training_instructions()
    if not uri:
        return []
    path = fetch_rows_file(uri, scratch)
    found = []
    for number, row in iter_objects(path):
        if not isinstance(row.get("instruction"), str):
            raise DataError(f"{uri}:{number}: field 'instruction' must be a text")
        found.append(row["instruction"])
    return found


def bootstrap_settings(params: GenerateInstructionsParams) -> "BootstrapSettings":
    """Return the loop's settings."""
    from refine_af.self_instruct.bootstrap import BootstrapSettings
    from refine_af.self_instruct.parse_instructions import (
        ALPACA_BLACKLIST,
        PUBLISHED,
        ParseRules,
    )

    rules = PUBLISHED if params.parity else ParseRules()
    if params.alpaca_keywords:
        rules = replace(rules, blacklist=ALPACA_BLACKLIST)
    return BootstrapSettings(
        seed=params.seed,
        target=params.target,
        shard=params.shard,
        round_size=params.round_size,
        shown=params.in_context,
        machine_shown=params.machine_in_context,
        max_rouge_l=params.max_rouge_l,
        max_requests=params.max_requests,
        max_idle_rounds=params.max_empty_rounds,
        rules=rules,
    )


def _sampling(params: GenerateInstructionsParams) -> Sampling:
    from refine_af.self_instruct.sampling import instructions_sampling

    preset = instructions_sampling(params.sampling, params.in_context)
    temperature = params.temperature or preset.temperature
    return replace(preset, max_tokens=params.max_tokens, temperature=temperature)


def write_found(found: Found, requests: int, outputs: Mapping[str, Path]) -> Metrics:
    """Write every output and return the metrics."""
    write_rows(outputs["instructions"], found.kept)
    write_rows(outputs["rejected"], found.rejected)
    write_rows(outputs["rounds"], found.rounds)
    write_rows(outputs["calls"], found.calls)
    reasons = Counter(row.reason for row in found.rejected)
    parsed = sum(row["parsed"] for row in found.rounds)
    return {
        "kept": len(found.kept),
        "rejected": len(found.rejected),
        "acceptance": len(found.kept) / parsed if parsed else 0.0,
        "requests": requests,
        "rounds": len(found.rounds),
        "known_share": reasons["known"] / parsed if parsed else 0.0,
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
        Artifact("calls", "rows", "Every model call: prompt's digest, seed, answer as it came."),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.",
)
