"""What a run asks of endpoints, at most: calls, tokens and, with prices, money.

Tokens read are those of the prompts that the stages would write for the packaged seeds, counted by
characters; rows of a run may be longer or shorter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from refine_af.contracts.records import Seed
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.judge import LONGEST_VERDICT, judge_prompt
from refine_af.engines.scorers.opening import judge_engine
from refine_af.evolve.params import EvolutionParams
from refine_af.feedback.interface import Triplet
from refine_af.feedback.params import RewardParams
from refine_af.pipelines.bounds import model_calls
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.tasks import PlannedTask, planned, task_name
from refine_af.self_instruct.instance_form import style_for
from refine_af.self_instruct.params import BootstrapParams, InstancesParams
from refine_af.stages.generate_responses import ResponsesParams
from refine_af.stages.seed_ingest import SeedParams, read_seeds
from refine_af.storage.sources import BUILTIN, fetch_rows_file

if TYPE_CHECKING:
    from refine_af.evolve.operators import Style as EvolveStyle
    from refine_af.self_instruct.prompts import Style

CHARACTERS_PER_TOKEN = 3.5
"""Of the stages' prompts for the packaged seeds: SmolLM2's tokenizer has 3.3 to 4.6 by stage, that
of Gemma 3 3.4 to 4.5 (counted)."""

SHORT_ANSWER = 4
"""Most tokens of an answer that is a choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one task asks of one endpoint, at most.

    Attributes:
        task: Its name; with the role where a second model is asked.
        calls: Requests.
        read: Tokens of all prompts.
        written: Most tokens of all answers.
        money: What they cost; None without a price.
    """

    task: str
    calls: int
    read: int
    written: int
    money: float | None


@dataclass(frozen=True, slots=True)
class _Requests:
    """Requests of one kind: their number, the mean characters of a prompt, most new tokens."""

    calls: int
    characters: float
    tokens: int


def asked_of_endpoints(config: RunConfig) -> list[Asked]:
    """Return what each task of a run asks of endpoints, in the order of the run."""
    tasks = planned(config)
    if not any(engine.engine == "openai" for task in tasks for engine in _engines(task).values()):
        return []
    counting = _Counting(tasks, model_calls(config))
    return [
        _priced(task.name + role, engine, counting.requests(task, role))
        for task in tasks
        for role, engine in _engines(task).items()
        if engine.engine == "openai"
    ]


def _engines(task: PlannedTask) -> dict[str, EngineParams]:
    """Return the text engines that a task opens, by role; the first one has none."""
    params = task.params
    engines: dict[str, EngineParams] = {}
    if isinstance(params, RewardParams):
        return {", judge": judge_engine(params)} if "judge" in params.scorers else {}
    if isinstance(params, EngineParams) and not (
        isinstance(params, SeedParams) and not params.asks
    ):
        engines[""] = params
    if not isinstance(params, EvolutionParams) or not params.asks_reviewer:
        return engines
    if reviewer := params.reviewer_params:
        engines[", reviewer"] = reviewer
    return engines


def _priced(name: str, engine: EngineParams, kinds: Sequence[_Requests]) -> Asked:
    read = round(sum(kind.calls * kind.characters for kind in kinds) / CHARACTERS_PER_TOKEN)
    written = sum(kind.calls * kind.tokens for kind in kinds)
    money = engine.money(read, written) if engine.has_price else None
    return Asked(name, sum(kind.calls for kind in kinds), read, written, money)


class _Counting:
    """Counts requests by the bounds of a run and the prompts of the packaged seeds."""

    def __init__(self, tasks: Sequence[PlannedTask], bound: Mapping[str, tuple[int, int]]) -> None:
        self._params = {task.name: task.params for task in tasks}
        self._bound = bound
        self._seeds = read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", "").rows

    def requests(self, task: PlannedTask, role: str) -> list[_Requests]:
        """Return what a task asks one of its engines."""
        params = task.params
        if isinstance(params, RewardParams):
            return [_Requests(self._judged(task), self._judge_characters(), LONGEST_VERDICT)]
        if isinstance(params, SeedParams):
            style = style_for("auto", params.model, chat=params.asks_by_chat)
            return [self._questions(style, _without_kind(params))]
        if isinstance(params, BootstrapParams):
            return [self._instructions(params)]
        if isinstance(params, InstancesParams):
            return self._instances(params, task.name)
        if isinstance(params, ResponsesParams):
            calls, _ = self._bound[task.name]
            return [_Requests(calls, self._response_characters(params.style), params.max_tokens)]
        if isinstance(params, EvolutionParams):
            return list(self._evolution(params, task.name, role))
        return []

    def _questions(self, style: "Style", count: int) -> _Requests:
        from refine_af.self_instruct.prompts import classification_prompt

        prompts = [classification_prompt(seed.instruction, style) for seed in self._seeds]
        return _Requests(count, mean(map(len, prompts)), SHORT_ANSWER)

    def _instructions(self, params: BootstrapParams) -> _Requests:
        from refine_af.self_instruct.prompts import instructions_prompt

        calls, _ = self._bound["generate_instructions"]
        texts = [seed.instruction for seed in self._seeds]
        shown = params.in_context
        starts = range(0, max(1, len(texts) - shown), shown)
        prompts = [instructions_prompt(texts[at : at + shown], params.style) for at in starts]
        return _Requests(calls, mean(map(len, prompts)), params.max_tokens)

    def _instances(self, params: InstancesParams, name: str) -> list[_Requests]:
        calls, _ = self._bound[name]
        prompts = [params.instance_form.prompt(seed.instruction) for seed in self._seeds]
        asked = [_Requests(calls, mean(map(len, prompts)), params.max_tokens)]
        if params.split == "classification":
            style = params.instance_form.style
            asked.append(self._questions(style, calls // params.samples))
        return asked

    def _response_characters(self, style: "EvolveStyle") -> float:
        from refine_af.evolve.response_form import response_prompt

        return mean(
            len(response_prompt(style, seed.instruction, _given(seed))) for seed in self._seeds
        )

    def _evolution(self, params: EvolutionParams, name: str, role: str) -> Iterator[_Requests]:
        tried = self._bound[name][0] // params.calls_of_a_step
        if params.asks_reviewer and (role or params.reviewer_params is None):
            reviews = self._review_characters(params.answer_style)
            yield _Requests(2 * tried, reviews, SHORT_ANSWER)
        if not role:
            yield _Requests(tried, self._rewrite_characters(params), params.max_tokens)
            if params.weight_frontier > 0:
                answers = tried * params.frontier_samples
                characters = self._response_characters(params.answer_style)
                yield _Requests(answers, characters, params.max_tokens)

    def _review_characters(self, style: "EvolveStyle") -> float:
        from refine_af.evolve.operators import render

        texts = [seed.instruction for seed in self._seeds]
        return mean(
            len(render(f"review_{style}", first=first, second=second))
            for first, second in pairwise(texts)
        )

    def _rewrite_characters(self, params: EvolutionParams) -> float:
        from refine_af.evolve.operators import load_operators

        operators = load_operators()
        return mean(
            len(operators.prompt(params.style, number, seed.instruction, _given(seed)))
            for number in range(len(operators.names))
            for seed in self._seeds
        )

    def _judged(self, task: PlannedTask) -> int:
        """Return how many rows a judge may be asked about: every instance of every answer."""
        if task.stage.name == "train_ppo":
            return self._bound["train_ppo"][0]
        writer = task_name("generate_instances", task.label)
        params = self._params.get(writer)
        if isinstance(params, InstancesParams):
            return self._bound[writer][0] * params.max_instances
        return self._bound[task_name("generate_responses", task.label)][0]

    def _judge_characters(self) -> float:
        rows = [
            Triplet(seed.instruction, pair.input, pair.output)
            for seed in self._seeds
            for pair in seed.instances
        ]
        return mean(len(judge_prompt(row)) for row in rows)


def _given(seed: Seed) -> str:
    return seed.instances[0].input if seed.instances else ""


def _without_kind(params: SeedParams) -> int:
    """Return how many seeds do not say whether they are classification; 0 of a remote file."""
    if "://" in params.seeds_uri:
        return 0
    with TemporaryDirectory() as folder:
        path = fetch_rows_file(params.seeds_uri, Path(folder))
        found = read_seeds(path, params.seeds_uri, "", field_map=params.field_map)
    return found.counts.decided["rule"]
