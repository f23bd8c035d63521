"""The Self-Instruct bootstrap: a model writes new instructions from seeds and its own."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from refine_af.calls.failures import check_parsed
from refine_af.calls.journalled import journalled
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import RowType, iter_objects, read_rows, write_rows
from refine_af.contracts.records import Instruction, ModelCall, Rejected, Seed
from refine_af.contracts.stage import MODEL_CALLS, Artifact, Metrics, Resources, Stage, Task
from refine_af.engines.opening import open_engine
from refine_af.engines.text import Completion
from refine_af.self_instruct.params import BootstrapParams
from refine_af.storage.sources import fetch_rows_file

if TYPE_CHECKING:
    from refine_af.self_instruct.bootstrap import Round


UNREAD = ("empty", "unreadable", "chatter", "ambiguous", "truncated", "engine_error")
"""Reasons of pieces that are not items of the requested list."""


def run(params: BootstrapParams, task: Task) -> Metrics:
    """Run rounds until the target, the cap or saturation; every round is kept in the journal."""
    from refine_af.self_instruct.bootstrap import Bootstrap
    from refine_af.self_instruct.task_rating import open_rating

    seeds = read_rows(task.inputs["seeds"], Seed)
    rate = open_rating(params, seeds, task.journal)
    bootstrap = Bootstrap(seeds, params, known_texts(params.known_uri, task.scratch), rate)
    engine = journalled(params, task, open_engine, unit="")
    outcome = Found()
    shown: dict[str, tuple[str, ...]] = {}
    while bootstrap.end is None:
        requests = bootstrap.next_requests()
        shown |= zip((request.id for request in requests), bootstrap.shown, strict=True)
        answers = engine.generate(requests, params.requested)
        outcome.take(answers, bootstrap.consume(answers))
        done = min(bootstrap.accepted, params.target)
        task.progress.step(done, params.target, "instructions", requests=bootstrap.requests)
    engine.finish()
    outcome.calls = list(engine.calls(shown.get))
    _check_answers(outcome, params.shard)
    if len(outcome.kept) > params.target:
        task.progress.say(
            f"{len(outcome.kept)} instructions: the round of {params.round_size} prompts that"
            f" reached the target of {params.target} counts whole"
        )
    return write_found(outcome, bootstrap.requests, task.outputs)


def _check_answers(outcome: "Found", shard: int) -> None:
    """End the stage when hardly any answer is a list of instructions."""
    from refine_af.self_instruct.decide import request_name

    read = {request_name(shard, row.request) for row in outcome.kept}
    read |= {row.request for row in outcome.rejected if row.reason not in UNREAD}
    unread = [call.text for call in outcome.calls if call.request not in read]
    check_parsed(len(read), len(outcome.calls), "".join(unread[:1]))


class Collected(Protocol[RowType]):
    """Rows that are gathered, in memory or in a file."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[RowType]:
        """Yield them in order."""

    def extend(self, rows: Sequence[RowType], /) -> None:
        """Append ``rows``."""


@dataclass
class Found:
    """The results of the rounds, in order."""

    kept: Collected[Instruction] = field(default_factory=list)
    rejected: Collected[Rejected] = field(default_factory=list)
    rounds: list[dict[str, int]] = field(default_factory=list)
    calls: Sequence[ModelCall] = ()

    def take(self, answers: Sequence[Completion], outcome: "Round") -> None:
        """Add one round."""
        self.kept.extend(outcome.kept)
        self.rejected.extend(outcome.rejected)
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
    texts = []
    for number, row in iter_objects(path):
        if not isinstance(row.get("instruction"), str):
            raise DataError(f"{uri}:{number}: field 'instruction' must be a string")
        texts.append(row["instruction"])
    return texts


def write_found(outcome: Found, requests: int, outputs: Mapping[str, Path]) -> Metrics:
    """Write every output and return the metrics."""
    write_rows(outputs["instructions"], outcome.kept)
    write_rows(outputs["rejected"], outcome.rejected)
    write_rows(outputs["rounds"], outcome.rounds)
    write_rows(outputs["calls"], outcome.calls)
    reasons = Counter(row.reason for row in outcome.rejected)
    parsed = sum(row["parsed"] for row in outcome.rounds)
    return {
        "kept": len(outcome.kept),
        "rejected": len(outcome.rejected),
        "acceptance": len(outcome.kept) / parsed if parsed else 0.0,
        "requests": requests,
        "rounds": len(outcome.rounds),
        "known_share": reasons["known"] / parsed if parsed else 0.0,
        **{f"rejected_{name}": count for name, count in sorted(reasons.items())},
    }


STAGE = Stage(
    name="generate_instructions",
    summary="Bootstrap new instructions from seeds with a language model (Self-Instruct).",
    params=BootstrapParams,
    run=run,
    inputs=(Artifact("seeds", "rows", "Seed tasks.", record=Seed),),
    outputs=(
        Artifact(
            "instructions",
            "rows",
            "New instructions in the order they were accepted.",
            record=Instruction,
        ),
        Artifact(
            "rejected",
            "rows",
            "Dropped pieces with reason and neighbour.",
            record=Rejected,
            shown=True,
        ),
        Artifact("rounds", "rows", "The acceptance curve: counts per round.", shown=True),
        MODEL_CALLS,
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="Self-Instruct (arXiv 2212.10560), section 3.1; REFINE-AF, stage 1.",
)
