"""What the stages of the second pipeline share: parameters, and the evolver that they describe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from refine_af.calls.journalled import JournalledEngine, journalled
from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.params import param
from refine_af.contracts.records import Seed
from refine_af.contracts.stage import Artifact, Task
from refine_af.engines.text import Sampling
from refine_af.stages.engine_params import EngineParams, open_engine

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


def operators_of(params: EvolutionParams, task: Task) -> "Operators":
    """Return the operators that ``operators_uri`` names, checked."""
    from refine_af.evolve.operators import open_operators

    return open_operators(params.operators_uri, task.scratch)


Engines = tuple[JournalledEngine, JournalledEngine]
"""The rewriter's engine and the reviewer's, which may be the same."""


def open_engines(params: EvolutionParams, task: Task) -> Engines:
    """Return the engines: the rewriter's reviews too unless another one is named."""
    rewriter = journalled(params, task, open_engine, name="rewriter", unit="")
    if not params.reviewer and not params.reviewer_engine:
        return rewriter, rewriter
    changes = {
        "model": params.reviewer or params.model,
        "engine": params.reviewer_engine or params.engine,
        "model_digest": "",
    }
    reviewer = params.model_copy(update=changes)
    return rewriter, journalled(reviewer, task, open_engine, name="reviewer", unit="")


def finish(engines: Engines) -> None:
    """Free the models; as :meth:`JournalledEngine.finish`."""
    for engine in dict.fromkeys(engines):
        engine.finish()


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
    engines: Engines,
    bank: "Bank",
    ledger: "Ledger",
    max_calls: int = 0,
) -> "Evolver":
    """Return an evolver that rewrites and reviews by ``engines``."""
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
