"""A few rows through the first stages before a run: ``refine-af preview``.

The requests are the first ones that the run itself would make, read by the stages' own code; only
``dedup_filter`` and the training between the stages are left out.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import Params
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.dedup.contamination import Leak
from refine_af.engines.opening import Opener, open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.opening import open_reward
from refine_af.engines.text import Completion, Request, TextEngine
from refine_af.feedback.interface import Scored, Triplet
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.tasks import PlannedTask, planned
from refine_af.self_instruct.bootstrap import Bootstrap
from refine_af.self_instruct.decide import request_name
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.params import BootstrapParams, InstancesParams
from refine_af.self_instruct.task_kinds import layouts
from refine_af.self_instruct.task_rating import open_rating
from refine_af.stages.generate_instances import decide_drafts, instance_requests, read_answer
from refine_af.stages.generate_instructions import known_texts
from refine_af.stages.score_rewards import ScoreRewardsParams
from refine_af.stages.seed_ingest import SeedParams, read_seeds
from refine_af.storage.journal import MemoryJournal
from refine_af.storage.sources import fetch_rows_file

KEPT = "kept"
ParamsT = TypeVar("ParamsT", bound=Params)


@dataclass(frozen=True, slots=True)
class Score:
    """The reward of one instance; ``total`` is standardised over the rows of the preview."""

    total: float
    parts: dict[str, float]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """What the parser read in an answer.

    Attributes:
        text: The instruction, or the output of an instance.
        input: Of an instance.
        verdict: ``kept``, or the reason for which the stage would drop it.
        detail: What decided.
        score: Of a kept instance.
    """

    text: str
    input: str
    verdict: str
    detail: str = ""
    score: Score | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One model call; ``answer`` is what the model wrote, or the engine's error."""

    stage: str
    prompt: str
    answer: str
    finish: str
    pieces: tuple[Piece, ...]


def first_calls(config: RunConfig, rows: int, *, opener: Opener = open_engine) -> list[Call]:
    """Return the calls of ``rows`` requests for instructions, then of as many for instances.

    Instances are asked for the first accepted instructions; of the seeds, where none was accepted.

    Args:
        config: Of the run.
        rows: Requests of each stage, at least 1.
        opener: Opens the text engine.

    Raises:
        ParameterError: The pipeline does not start with these stages, or as the stages do.
        DataError, DependencyError, MissingLibraryError: As the stages do.
    """
    if config.pipeline != "refine-af":
        raise ParameterError(
            f"preview needs a preset of the pipeline refine-af, not of {config.pipeline}"
        )
    tasks = planned(config)
    writing = _params_of(tasks, BootstrapParams).model_copy(update={"max_requests": rows})
    asking = _params_of(tasks, InstancesParams).model_copy(update={"samples": 1})
    progress = StageProgress("preview")
    with tempfile.TemporaryDirectory(prefix="refine-af-preview-") as folder, ExitStack() as engines:
        scratch = Path(folder)
        seeds = _seeds(_params_of(tasks, SeedParams), scratch)
        progress.say(f"{writing.model}: {rows} requests for instructions")
        engine = engines.enter_context(closing(opener(writing, None)))
        calls, accepted = _instructions(writing, seeds, engine, scratch)
        chosen = (accepted or [_as_instruction(seed) for seed in seeds])[:rows]
        progress.say(f"{asking.model}: instances for {len(chosen)} instructions")
        if not _same_engine(writing, asking):
            engines.close()  # one model in memory at a time
            engine = engines.enter_context(closing(opener(asking, None)))
        instances, triplets = _instances(asking, chosen, engine, scratch)
    progress.say(f"{len(triplets)} instances to the reward")
    return calls + _scored(_params_of(tasks, ScoreRewardsParams), instances, triplets)


def _params_of(tasks: Sequence[PlannedTask], kind: type[ParamsT]) -> ParamsT:
    """Return the parameters of the stage's first task; one without an adapter is preferred."""
    matching = [task for task in tasks if isinstance(task.params, kind)]
    params = min(matching, key=lambda task: "adapter" in task.inputs).params
    assert isinstance(params, kind)  # noqa: S101  as filtered above
    return params


def _same_engine(first: EngineParams, second: EngineParams) -> bool:
    return all(getattr(first, name) == getattr(second, name) for name in EngineParams.model_fields)


def _seeds(params: SeedParams, scratch: Path) -> list[Seed]:
    """Return the seeds; no prompt of the first stages depends on their kind."""
    return read_seeds(
        fetch_rows_file(params.seeds_uri, scratch),
        params.seeds_uri,
        params.licence or "unknown",
        field_map=params.field_map,
    ).rows


def _as_instruction(seed: Seed) -> Instruction:
    return Instruction.make(seed.instruction, (seed.id,), 0, 0, 0)


def _instructions(
    params: BootstrapParams, seeds: Sequence[Seed], engine: TextEngine, scratch: Path
) -> tuple[list[Call], list[Instruction]]:
    """Return the bootstrap's first calls and the instructions that they brought."""
    rate = open_rating(params, seeds, MemoryJournal())
    loop = Bootstrap(seeds, params, known_texts(params.known_uri, scratch), rate)
    asked: list[tuple[Request, Completion]] = []
    kept: list[Instruction] = []
    rejected: list[Rejected] = []
    while requests := loop.next_requests():
        answers = engine.generate(requests, params.requested)
        outcome = loop.consume(answers)
        asked += zip(requests, answers, strict=True)
        kept += outcome.kept
        rejected += outcome.rejected
    pieces = _by_request(params.shard, seeds, kept, rejected)
    calls = [
        _call("generate_instructions", request, answer, pieces[request.id])
        for request, answer in asked
    ]
    return calls, kept


def _by_request(
    shard: int, seeds: Sequence[Seed], kept: Sequence[Instruction], rejected: Sequence[Rejected]
) -> dict[str, list[Piece]]:
    """Return what each request brought: the accepted instructions, then the dropped ones."""
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for row in kept:
        pieces[request_name(shard, row.request)].append(Piece(row.instruction, "", KEPT))
    texts = {seed.id: seed.instruction for seed in seeds}
    texts |= {row.id: row.instruction for row in kept}
    for dropped in rejected:
        pieces[dropped.request].append(_dropped(dropped, texts))
    return pieces


def _dropped(row: Rejected, texts: dict[str, str]) -> Piece:
    like = texts.get(row.neighbour or "", "")
    about = [f"ROUGE-L {row.score:.2f} with" if row.score is not None else "", like, row.detail]
    return Piece(row.text, "", row.reason, " ".join(filter(None, about)))


def _call(stage: str, request: Request, answer: Completion, pieces: Sequence[Piece]) -> Call:
    written = answer.error if answer.finish == "error" else answer.thinking + answer.text
    return Call(stage, request.prompt, written, answer.finish, tuple(pieces))


def _instances(
    params: InstancesParams, rows: Sequence[Instruction], engine: TextEngine, scratch: Path
) -> tuple[list[Call], list[Triplet]]:
    """Return the calls, and the kept instances of all of them in order."""
    style = params.instance_form.style
    likelier = params.holds_to_choices  # as generate_instances asks
    kinds = layouts(rows, params.split, style, engine, params.seed, by_likelihood=likelier)
    owners, requests = instance_requests(params, rows, kinds)
    answers = engine.generate(requests, params.requested)
    pairs = zip(owners, answers, strict=True)
    parsed = [read_answer(params, answer, kinds[row.id]) for (row, _), answer in pairs]
    decided = decide_drafts(params, owners, parsed, scratch)
    pieces = [[_pair(*draft) for draft in drafts] for drafts in decided]
    calls = [
        _call("generate_instances", *asked) for asked in zip(requests, answers, pieces, strict=True)
    ]
    triplets = [
        Triplet(row.instruction, piece.input, piece.text)
        for (row, _), group in zip(owners, pieces, strict=True)
        for piece in group
        if piece.verdict == KEPT
    ]
    return calls, triplets


def _pair(draft: Draft, leak: Leak | None) -> Piece:
    detail = leak.detail if leak and draft.reason == "contaminated" else draft.detail
    return Piece(draft.output, draft.input, draft.reason or KEPT, detail)


def _scored(
    params: ScoreRewardsParams, calls: Sequence[Call], rows: Sequence[Triplet]
) -> list[Call]:
    """Return the calls with the score of every kept instance, which ``rows`` holds in order."""
    scores = iter(open_reward(params).score(rows) if rows else ())
    return [
        replace(call, pieces=tuple(_with_score(piece, scores) for piece in call.pieces))
        for call in calls
    ]


def _with_score(piece: Piece, scores: Iterator[Scored]) -> Piece:
    if piece.verdict != KEPT:
        return piece
    scored = next(scores)
    return replace(piece, score=Score(scored.total, dict(scored.parts), scored.flags))
