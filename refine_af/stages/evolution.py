"""What the stages of the second pipeline share: parameters, engines, and a journal of answers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import ModelCall, Seed
from refine_af.contracts.stage import Artifact, Task
from refine_af.engines.text import Completion, Determinism, Request, Sampling, TextEngine
from refine_af.stages.engine_params import EngineParams, open_engine
from refine_af.stages.generation import (
    dump_completions,
    load_completions,
    model_call,
    refuse_silence,
)

if TYPE_CHECKING:
    from refine_af.evolve.bank import Bank
    from refine_af.evolve.frontier import Evolver, FrontierSettings, Root
    from refine_af.evolve.ledger import Ledger
    from refine_af.evolve.operators import Operators

BANK_TEXTS = "instruction"


class EvolutionParams(EngineParams):
    """How instructions are rewritten, reviewed and rewarded."""

    operators_uri: str = param(
        "builtin:operators", "Operators and their prompts: builtin:operators, a YAML file or a URI."
    )
    style: Literal["plain", "instruct"] = param(
        "instruct", "plain: as builtin:tiny was trained; instruct: a request in words."
    )
    steps: int = param(6, "Most operators tried on one seed.", source="TeaMs-RL, its code", ge=1)
    temperature: float = param(0.8, "Of the rewriter.", ge=0.0)
    top_p: float = param(0.95, "Nucleus mass.", source="TeaMs-RL, its code", gt=0.0, le=1.0)
    max_tokens: int = param(512, "Most new tokens of a rewrite.", ge=4)
    reviewer: str = param("", "Model that compares rewrite and parent; empty: the rewriter's.")
    reviewer_engine: Literal["", "transformers", "vllm", "openai", "scripted"] = param(
        "", "Engine of the reviewer; empty: the rewriter's."
    )
    accept: float = param(
        0.6, "Least probability of a difference, both orders averaged.", ge=0.0, le=1.0
    )
    patience: int = param(2, "Invalid rewrites in a row that end an episode.", ge=1)
    min_words: int = param(3, "Fewest words of an instruction.", ge=1)
    max_words: int = param(512, "Most words of an instruction.", ge=1)
    weight_changed: float = param(0.5, "Reward of a rewrite that differs.", ge=0.0)
    weight_novelty: float = param(
        0.5, "Reward times 1 - largest cosine to siblings and the memory bank.", ge=0.0
    )
    weight_invalid: float = param(0.5, "Taken for a rewrite that breaks a rule.", ge=0.0)
    weight_frontier: float = param(
        0.0,
        "Reward times 4 s (1 - s), s the agreement of sampled answers; 0 samples none.",
        source="R-Zero (2508.05004)",
        ge=0.0,
    )
    frontier_samples: int = param(4, "Answers sampled for that.", ge=2, le=64)
    embedding: str = param(
        "builtin:static",
        "Of instructions, for policy, novelty and clusters: builtin:static needs no model; else any"
        " sentence-transformers model (Hub id, path, gs:// or s3://).",
    )
    clusters: int = param(4, "Groups of like seeds that are told apart in tables.", ge=1, le=16)
    seeds_limit: int = param(0, "First N seeds; 0 takes all.", ge=0)


BANK_INPUT = Artifact(
    "bank", "rows", "Instructions of earlier runs that count as known (field instruction).", True
)


class JournaledEngine:
    """An engine whose every call is one journalled step; the model loads at the first new one.

    A resumed stage makes the same calls in the same order, so the number of a call names it.
    """

    def __init__(self, params: EngineParams, task: Task, name: str) -> None:
        """Keep the calls of ``name`` in the task's journal."""
        self._params, self._task, self._name = params, task, name
        self._engine: TextEngine | None = None
        self._calls = 0
        self._asked: list[tuple[Request, Sampling, Completion]] = []
        self._silence: list[Completion] | None = []
        self.determinism: Determinism = "same_batch"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return what the engine says, or said before the stage was killed."""
        entry = f"{self._name}-{self._calls:06d}"
        self._calls += 1
        stored = self._task.journal.read(entry)
        if stored is not None:
            answers = load_completions(stored)
        else:
            answers = self._opened().generate(requests, sampling)
            self._task.journal.publish(entry, dump_completions(answers))
        if "calls" in self._task.outputs:
            asked = zip(requests, answers, strict=True)
            self._asked += [(request, sampling, answer) for request, answer in asked]
        self._hear(answers)
        return answers

    def calls(self, shown: Mapping[str, tuple[str, ...]]) -> Iterator[ModelCall]:
        """Yield every call in the order asked; none in a stage without the output ``calls``.

        Args:
            shown: Rows that a prompt shows, by what stands before the last ``/`` of a call's name;
                a name that is not there shows none (answers sampled for the frontier reward).
        """
        for request, sampling, answer in self._asked:
            key = request.id.rpartition("/")[0]
            yield model_call(request, shown.get(key, ()), sampling, answer)

    def describe(self) -> dict[str, str]:
        """Return the engine's own description; the model loads for it."""
        return self._opened().describe()

    def _hear(self, answers: Sequence[Completion]) -> None:
        """Keep the failures as long as there is nothing else."""
        if any(answer.finish != "error" for answer in answers):
            self._silence = None
        if self._silence is not None:
            self._silence += answers

    def finish(self) -> None:
        """Put the engine into the telemetry, where one was opened, and free the model.

        Raises:
            DataError, DependencyError: No request was answered; as :func:`refuse_silence`.
        """
        if self._engine is not None:
            self._task.telemetry[self._name] = self._engine.describe()
        self.close()
        refuse_silence(self._silence or (), self._task.journal, steps=self._name)

    def close(self) -> None:
        """Free the model."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _opened(self) -> TextEngine:
        if self._engine is None:
            self._engine = open_engine(self._params, None)
            self.determinism = self._engine.determinism
        return self._engine


def operators_of(params: EvolutionParams, task: Task) -> "Operators":
    """Return the operators that ``operators_uri`` names, checked."""
    from refine_af.evolve.operators import open_operators

    return open_operators(params.operators_uri, task.scratch)


def reviewer_engine(
    params: EvolutionParams, task: Task, rewriter: JournaledEngine
) -> JournaledEngine:
    """Return the reviewer's engine: the rewriter's own unless another one is named."""
    if not params.reviewer and not params.reviewer_engine:
        return rewriter
    changes = {
        "model": params.reviewer or params.model,
        "engine": params.reviewer_engine or params.engine,
        "model_digest": "",
    }
    return JournaledEngine(params.model_copy(update=changes), task, "reviewer")


def roots_of(params: EvolutionParams, task: Task) -> "list[Root]":
    """Return the seeds as roots with their clusters.

    Raises:
        DataError: There is no seed.
    """
    from refine_af.evolve.clusters import clusters
    from refine_af.evolve.embedding import open_embedding
    from refine_af.evolve.frontier import Root

    seeds = read_rows(task.inputs["seeds"], Seed)
    seeds = seeds[: params.seeds_limit] if params.seeds_limit else seeds
    if not seeds:
        raise DataError("input 'seeds' holds no row; there is nothing to evolve")
    vectors = open_embedding(params.embedding).embed([seed.instruction for seed in seeds])
    groups = clusters(vectors, params.clusters, params.seed)
    return [Root.of(seed, group) for seed, group in zip(seeds, groups, strict=True)]


def bank_of(params: EvolutionParams, task: Task) -> "Bank":
    """Return the memory bank with the rows of earlier runs, where they are given."""
    from refine_af.evolve.bank import Bank
    from refine_af.evolve.embedding import open_embedding

    embedding = open_embedding(params.embedding)
    bank = Bank(embedding.dimension)
    if "bank" in task.inputs:
        texts = []
        for number, row in iter_objects(task.inputs["bank"]):
            if not isinstance(row.get(BANK_TEXTS), str):
                raise DataError(f"{task.inputs['bank']}:{number}: field 'instruction' is no text")
            texts.append(row[BANK_TEXTS])
        bank.add(embedding.embed(texts))
    return bank


def frontier_settings(params: EvolutionParams, max_calls: int = 0) -> "FrontierSettings":
    """Return the settings of the episodes.

    Raises:
        ParameterError: Fewest and most words cross.
    """
    from refine_af.evolve.frontier import FrontierSettings
    from refine_af.evolve.reward import RewardWeights
    from refine_af.evolve.rules import Limits

    if params.min_words > params.max_words:
        raise ParameterError(
            f"min_words is {params.min_words} and max_words {params.max_words}; nothing fits both"
        )
    return FrontierSettings(
        seed=params.seed,
        steps=params.steps,
        style=params.style,
        sampling=Sampling(
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            stop=("\n",) if params.style == "plain" else ("\n### ",),
        ),
        accept=params.accept,
        patience=params.patience,
        limits=Limits(params.min_words, params.max_words),
        weights=RewardWeights(
            changed=params.weight_changed,
            novelty=params.weight_novelty,
            invalid=params.weight_invalid,
            frontier=params.weight_frontier,
        ),
        max_calls=max_calls,
    )


def make_evolver(
    params: EvolutionParams,
    operators: "Operators",
    engines: tuple[TextEngine, TextEngine],
    bank: "Bank",
    ledger: "Ledger",
    max_calls: int = 0,
) -> "Evolver":
    """Return an evolver over the (rewriter's, reviewer's) engines."""
    from refine_af.evolve.agreement import Agreement
    from refine_af.evolve.embedding import open_embedding
    from refine_af.evolve.frontier import Evolver
    from refine_af.evolve.reviewer import Reviewer

    writer, judge = engines
    agreement = None
    if params.weight_frontier > 0:
        agreement = Agreement(
            writer,
            params.style,
            params.frontier_samples,
            params.max_tokens,
            params.seed,
            ledger,
        )
    return Evolver(
        writer,
        Reviewer(judge, params.style, params.seed, ledger),
        operators,
        open_embedding(params.embedding).embed,
        bank,
        frontier_settings(params, max_calls),
        ledger,
        agreement,
    )


def write_bank(path: Path, earlier: Path | None, texts: Sequence[str]) -> None:
    """Write the known instructions: the earlier ones, then new ones, each once."""
    known: dict[str, None] = {}
    if earlier is not None:
        known |= dict.fromkeys(str(row[BANK_TEXTS]) for _, row in iter_objects(earlier))
    known |= dict.fromkeys(texts)
    write_rows(path, [{BANK_TEXTS: text} for text in known])
