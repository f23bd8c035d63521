"""Assembles what the stages of TeaMs-RL share: engines, seeds, memory bank, evolver."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from refine_af.calls.journalled import JournalledEngine, journalled
from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.records import Seed
from refine_af.contracts.stage import Artifact, Task
from refine_af.engines.opening import open_engine
from refine_af.evolve.params import EvolutionParams

if TYPE_CHECKING:
    from refine_af.evolve.bank import Bank
    from refine_af.evolve.frontier import Evolver, Root
    from refine_af.evolve.ledger import Ledger
    from refine_af.evolve.operators import Operators

BANK_TEXTS = "instruction"


BANK_INPUT = Artifact(
    "bank", "rows", "Instructions of earlier runs that count as known (field instruction).", True
)


def operators_of(params: EvolutionParams, task: Task) -> "Operators":
    """Return the operators that ``operators_uri`` names, checked."""
    from refine_af.evolve.operators import open_operators

    operators = open_operators(params.operators_uri, task.scratch)
    operators.refuse_style(params.style, params.operators_uri)
    return operators


Engines = tuple[JournalledEngine, JournalledEngine]
"""The rewriter's engine and the reviewer's, which may be the same."""


def open_engines(params: EvolutionParams, task: Task) -> Engines:
    """Return the engines: the rewriter's reviews too unless another one is named."""
    rewriter = journalled(params, task, open_engine, name="rewriter", unit="")
    reviewer = params.reviewer_params
    if reviewer is None:
        return rewriter, rewriter
    return rewriter, journalled(reviewer, task, open_engine, name="reviewer", unit="")


def finish(engines: Engines) -> None:
    """Free the models; as :meth:`JournalledEngine.finish`."""
    for engine in dict.fromkeys(engines):
        engine.finish()


def roots_of(params: EvolutionParams, task: Task) -> "list[Root]":
    """Return the seeds as roots with their clusters.

    Raises:
        DataError: The input has no rows.
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
                raise DataError(
                    f"{task.inputs['bank']}:{number}: field 'instruction' must be a string"
                )
            texts.append(row[BANK_TEXTS])
        bank.add(embedding.embed(texts))
    return bank


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
            params.answer_style,
            params.frontier_samples,
            params.max_tokens,
            params.seed,
            ledger,
        )
    return Evolver(
        writer,
        Reviewer(judge, params.answer_style, params.seed, ledger),
        operators,
        open_embedding(params.embedding).embed,
        bank,
        params,
        ledger,
        agreement,
        max_calls,
    )


def write_bank(path: Path, earlier: Path | None, texts: Sequence[str]) -> None:
    """Write the known instructions: the earlier ones, then new ones, each once."""
    known: dict[str, None] = {}
    if earlier is not None:
        known |= dict.fromkeys(str(row[BANK_TEXTS]) for _, row in iter_objects(earlier))
    known |= dict.fromkeys(texts)
    write_rows(path, [{BANK_TEXTS: text} for text in known])
