"""What the generating stages cost around their engine: rows per second, and tokens against vLLM.

    python benchmarks/generation_stages.py --data DIR [--rows 20000] [--repeats 5]
    .venv-vllm/bin/python benchmarks/generation_stages.py --vllm [--rows 256] [--repeats 7]

The first form gives each stage an engine that answers at once, with one of the instructions of
DIR's ``dedup/instructions_20k.jsonl.gz`` in each place where a model would write one, and times the
whole stage: rows read, prompts, parsing, filters, rows written. A row is a piece of an answer,
kept or dropped. The second form runs ``generate_instances`` on the real vLLM and, in turn, the
bare ``LLM.generate`` with the same prompts in the same batches, the prefix cache emptied before
each; both must write the same number of tokens. The engine's start is in neither.
"""

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refine_af.builtin.examples import training_instructions
from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction
from refine_af.contracts.stage import Metrics
from refine_af.engines.text import Completion, Determinism, Request, Sampling, TextEngine
from refine_af.runner import run_stage
from refine_af.stages import generate_instances, generate_instructions
from refine_af.stages.seed_ingest import read_seeds
from refine_af.storage.sources import BUILTIN


class Clock:
    """Wall-clock and CPU seconds of a block of code; other programs slow only the former."""

    def __enter__(self) -> "Clock":
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


CLOCKS = ("wall", "cpu")
PIECES = 7
"""Instructions in an answer: the published stop texts leave room for so many."""


class AtOnce:
    """Answers without a model, one prepared answer after the other."""

    determinism: Determinism = "exact"

    def __init__(self, answers: Sequence[str]) -> None:
        """Give ``answers`` in order, from the start again when there are no more."""
        self._answers = answers
        self._given = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the next answers; ``sampling`` changes nothing."""
        del sampling
        first, self._given = self._given, self._given + len(requests)
        size = len(self._answers)
        return [
            Completion(one.id, self._answers[(first + n) % size], "stop", 200, 60)
            for n, one in enumerate(requests)
        ]

    def describe(self) -> dict[str, str]:
        """Return the engine's name."""
        return {"engine": "at once"}

    def close(self) -> None:
        """Nothing is held."""


class Kept:
    """An engine that stays open when a stage closes it, and remembers what it was asked."""

    def __init__(self, engine: TextEngine) -> None:
        """Wrap ``engine``."""
        self._engine = engine
        self.determinism = engine.determinism
        self.batches: list[tuple[list[Request], Sampling]] = []
        self.tokens = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return what the engine says."""
        self.batches.append((list(requests), sampling))
        answers = self._engine.generate(requests, sampling)
        self.tokens += sum(one.tokens for one in answers)
        return answers

    def describe(self) -> dict[str, str]:
        """Return what the engine says of itself."""
        return self._engine.describe()

    def close(self) -> None:
        """Leave the engine open."""


def list_answers(texts: Sequence[str]) -> list[str]:
    """Return completions of a numbered list that ends with ``9.``, each text once."""
    return [
        "\n".join(f"{9 + n}. {text}" for n, text in enumerate(texts[start : start + PIECES]))[2:]
        for start in range(0, len(texts), PIECES)
    ]


def kinds_first(texts: Sequence[str]) -> list[str]:
    """Return the answers to all questions for the kind of task, every other a yes, then to all."""
    kinds = [("Yes", "No")[place % 2] for place in range(len(texts))]
    written = [
        f" fine\n{text}" if kind == "Yes" else f"Input: {text}\nOutput: as asked"
        for kind, text in zip(kinds, texts, strict=True)
    ]
    return kinds + written


def stage_run(
    name: str,
    engine: TextEngine,
    rows: Path,
    **params: str | int | float | bool,
) -> tuple[Clock, Metrics]:
    """Return the clock of one whole stage with ``engine`` in place of its own, and its metrics."""
    module = generate_instances if name == "generate_instances" else generate_instructions
    entrance = "instructions" if name == "generate_instances" else "seeds"
    with tempfile.TemporaryDirectory() as folder:
        outputs = {one.name: str(Path(folder, one.name)) for one in module.STAGE.outputs}
        with Clock() as clock:
            metrics = run_stage(
                module.STAGE,
                inputs={entrance: str(rows)},
                outputs=outputs,
                params={"model": "builtin:tiny", **params},
                engine=engine,
            )
    return clock, metrics


def instruction_rows(texts: Sequence[str], folder: str) -> Path:
    """Write instructions as the bootstrap would and return the file."""
    path = Path(folder, "instructions.jsonl")
    made = [Instruction.make(text, ("seed",), place, 0, 0) for place, text in enumerate(texts)]
    write_rows(path, list({row.id: row for row in made}.values()))
    return path


def at_once(data: Path, rows: int, repeats: int) -> None:
    """Print rows per second of both stages with an engine that takes no time."""
    with gzip.open(data / "dedup" / "instructions_20k.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][:rows]
    asked = list(dict.fromkeys(texts))
    pairs = [f"Input: {text}\nOutput: as asked" for text in asked]
    lists = list_answers(texts)
    most = {"target": rows, "max_requests": len(lists)}
    with tempfile.TemporaryDirectory() as folder:
        path, seeds = instruction_rows(asked, folder), Path(folder, "seeds.jsonl")
        write_rows(seeds, read_seeds(BUILTIN["builtin:seeds"], "builtin:seeds", "").rows)
        runs: list[tuple[str, Path, list[str], dict[str, Any]]] = [
            *[
                ("generate_instances", path, pairs, {"split": "none", "style": style})
                for style in ("plain", "few_shot")
            ],
            ("generate_instances", path, kinds_first(asked), {"split": "classification"}),
            *[
                ("generate_instructions", seeds, lists, {**most, "round_size": size})
                for size in (5, 64, 256)
            ],
        ]
        for name, source, answers, params in runs:
            clocks = []
            for _ in range(repeats):
                clock, metrics = stage_run(name, AtOnce(answers), source, **params)
                clocks.append(clock)
            done = sum(metrics[key] for key in ("instances", "kept", "rejected") if key in metrics)
            wall, cpu = (done / statistics.median(getattr(c, k) for c in clocks) for k in CLOCKS)
            shown = ", ".join(f"{key} {value}" for key, value in params.items())
            print(f"{name} ({shown}): {wall:,.0f} rows/s of wall, {cpu:,.0f} of CPU time")


def against_vllm(rows: int, repeats: int, model: str) -> None:
    """Print the stage's tokens per second over the bare engine's."""
    import vllm

    from refine_af.engines.vllm_text import VLLMText, vllm_sampling

    engine = VLLMText(model, max_num_seqs=64)
    llm: vllm.LLM = engine.llm
    texts = training_instructions()[:rows]

    def stage() -> tuple[Clock, int]:
        kept = Kept(engine)
        clock, _ = stage_run(
            "generate_instances", kept, path, style="plain", temperature=1.0, max_tokens=64
        )
        batches[:] = kept.batches
        return clock, kept.tokens

    def bare() -> tuple[Clock, int]:
        tokens = 0
        with Clock() as clock:
            for requests, sampling in batches:
                answers = llm.generate(
                    [request.prompt for request in requests],
                    [vllm_sampling(request.seed, sampling) for request in requests],
                    use_tqdm=False,
                )
                tokens += sum(len(answer.outputs[0].token_ids) for answer in answers)
        return clock, tokens

    batches: list[tuple[list[Request], Sampling]] = []
    rates: dict[str, list[float]] = {"wall": [], "cpu": []}
    ratios: dict[str, list[float]] = {"wall": [], "cpu": []}
    with tempfile.TemporaryDirectory() as folder:
        path = instruction_rows(texts, folder)
        stage()
        bare()
        for turn in range(repeats):
            found = {}
            for side in (stage, bare) if turn % 2 else (bare, stage):
                llm.reset_prefix_cache()
                found[side] = side()
            (ours, our_tokens), (theirs, their_tokens) = found[stage], found[bare]
            assert our_tokens == their_tokens, f"{our_tokens} and {their_tokens} tokens"
            for key in CLOCKS:
                rates[key].append(their_tokens / getattr(theirs, key))
                ratios[key].append(getattr(theirs, key) / getattr(ours, key))
    for key in CLOCKS:
        print(
            f"vllm {vllm.__version__}, {model}, {len(texts)} prompts, {their_tokens} tokens:"
            f" bare {statistics.median(rates[key]):,.0f} tokens/s of {key} time,"
            f" stage / bare {statistics.median(ratios[key]):.3f}"
            f" ({min(ratios[key]):.3f} to {max(ratios[key]):.3f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the shared data's folder")
    parser.add_argument("--vllm", action="store_true", help="the second form")
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int)
    options = parser.parse_args()
    if options.vllm:
        against_vllm(options.rows or 256, options.repeats or 7, options.model)
    elif options.data:
        at_once(options.data, options.rows or 20_000, options.repeats or 5)
    else:
        parser.error("give --data DIR or --vllm")


if __name__ == "__main__":
    main()
