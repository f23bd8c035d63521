"""Tokens per second of the evolution engine against the bare text engine on the same prompts.

    python benchmarks/evolution_engine.py [--roots 64] [--steps 4] [--repeats 5]

One run evolves seeds with uniform operators: choosing, rules, embedding, memory bank and reward
lie between the batches of rewrites and reviews. The bare engine then gets the very same batches,
and, as the harder comparison, all rewrites in one list and all reviews in another, so that it can
fill its batches as it likes. Sides alternate; ratios are medians of pairs. CPU seconds count the
work of all threads and are steady when other programs run beside.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from refine_af.engines.opening import open_engine
from refine_af.engines.text import Completion, Request, Sampling, TextEngine
from refine_af.evolve.assembly import EvolutionParams, make_evolver
from refine_af.evolve.bank import Bank
from refine_af.evolve.embedding import LIGHT, open_embedding
from refine_af.evolve.frontier import Root
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import load_operators
from refine_af.evolve.policies import uniform_mix
from refine_af.pipelines.bounds import resolved
from refine_af.pipelines.config import load_config
from refine_af.runner import find_stage
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN

Batch = tuple[list[Request], Sampling]


class Recorder:
    """Hands calls on to an engine and remembers them."""

    def __init__(self, engine: TextEngine) -> None:
        """Wrap an engine."""
        self._engine = engine
        self.batches: list[Batch] = []
        self.tokens = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return what the engine says."""
        self.batches.append((list(requests), sampling))
        answers = self._engine.generate(requests, sampling)
        self.tokens += _tokens(answers)
        return answers


def _tokens(answers: Sequence[Completion]) -> int:
    """Return the tokens read and written: a review reads much and writes one word."""
    return sum(one.prompt_tokens + one.tokens for one in answers)


def bare(engine: TextEngine, batches: Sequence[Batch]) -> int:
    """Answer the batches and return the tokens."""
    return sum(_tokens(engine.generate(requests, sampling)) for requests, sampling in batches)


def merged(batches: Sequence[Batch]) -> list[Batch]:
    """Return one batch per sampling."""
    found: dict[Sampling, list[Request]] = {}
    for requests, sampling in batches:
        found.setdefault(sampling, []).extend(requests)
    return [(requests, sampling) for sampling, requests in found.items()]


def timed(side: Callable[[], int]) -> tuple[float, float]:
    """Return tokens per wall second and per CPU second."""
    clocks = (time.perf_counter, time.process_time)
    started = [clock() for clock in clocks]
    tokens = side()
    wall, cpu = (tokens / (clock() - start) for clock, start in zip(clocks, started, strict=True))
    return wall, cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="teams-rl-quickstart")
    parser.add_argument("--roots", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    stage = find_stage("evolve_instructions")
    config = load_config(options.preset, "")
    values = resolved(config, stage) | {"steps": options.steps, "max_calls": 0}
    params = stage.params.parse(values)
    assert isinstance(params, EvolutionParams)
    engine, operators = open_engine(params, None), load_operators()
    seeds = read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", "").rows[: options.roots]
    roots = [Root.of(seed) for seed in seeds]
    recorder = Recorder(engine)

    def evolve() -> int:
        recorder.batches, recorder.tokens = [], 0
        bank = Bank(open_embedding(LIGHT).dimension)
        evolver = make_evolver(params, operators, (recorder, recorder), bank, Ledger())
        evolver.run(roots, uniform_mix(operators, params.seed), phase="evolve")
        return recorder.tokens

    evolve()
    batches = recorder.batches
    sides = {
        "same batches": lambda: bare(engine, batches),
        "all at once": lambda: bare(engine, merged(batches)),
    }
    ours: list[tuple[float, float]] = []
    theirs: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        ours.append(timed(evolve))
        for name, side in sides.items():
            theirs[name].append(timed(side))
    print(f"{len(roots)} seeds, {options.steps} steps, {sum(len(one) for one, _ in batches)} calls")
    for place, unit in enumerate(("wall", "CPU")):
        for name, rates in theirs.items():
            ratio = statistics.median(a[place] / b[place] for a, b in zip(ours, rates, strict=True))
            print(
                f"per {unit:4} second: engine {statistics.median(one[place] for one in ours):6.0f}"
                f" tokens, bare, {name}, {statistics.median(one[place] for one in rates):6.0f},"
                f" ratio {ratio:.3f}"
            )


if __name__ == "__main__":
    main()
