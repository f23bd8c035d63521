"""Bootstrap instructions from seeds: the loop of Self-Instruct (arXiv 2212.10560, section 2.2).

A prompt shows a few tasks; the model continues the list; what repeats nothing joins the pool.
"""

import sys

from refine_af.engines.text import Sampling, TextEngine
from refine_af.engines.transformers_text import TransformersText
from refine_af.self_instruct.bootstrap import Bootstrap
from refine_af.self_instruct.params import BootstrapParams
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN


def bootstrap(engine: TextEngine, params: BootstrapParams) -> Bootstrap:
    """Ask, parse and filter until the target is met or nothing new comes any more."""
    seeds = read_seeds(BUILTIN["builtin:seeds"], "seeds", "Apache-2.0").rows
    sampling = Sampling(max_tokens=120, temperature=0.9, top_p=0.95, stop=("\n\n",))
    loop = Bootstrap(seeds, params)
    while loop.end is None:
        requests = loop.next_requests()  # each shows seeds and accepted instructions
        round_ = loop.consume(engine.generate(requests, sampling))  # parsed, then ROUGE-L <= 0.7
        for row in round_.kept:
            print(f"+ {row.instruction}")
        for dropped in round_.rejected:
            print(f"- {dropped.reason}: {dropped.text[:60]!r}")
    return loop


def main(target: int = 20) -> Bootstrap:
    """Run the loop with the embedded model and say why it ended."""
    engine = TransformersText("builtin:tiny")
    loop = bootstrap(engine, BootstrapParams(target=target, round_size=8, max_requests=32))
    print(f"{loop.accepted} instructions from {loop.requests} requests; ended by {loop.end}")
    return loop


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
