"""Fine-tuning side by side: padded batches, padding-free ones, packed sequences.

``python benchmarks/sft.py [--model builtin:tiny] [--rows 160] [--steps 10]`` trains on the rows of
the project's own seed tasks, each way in a process of its own, and prints tokens (padding not
counted) per second of training and the largest memory of the process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instance
from refine_af.stages.seed_ingest import read_seeds

SEEDS = Path(__file__).parent.parent / "seeds" / "seed_tasks.jsonl"
WAYS = {"padded": [], "padding-free": ["--padding-free", "true"], "packed": ["--packing", "true"]}


def rows(count: int) -> list[Instance]:
    """Return the first instances of the seeds as rows."""
    found = [
        Instance.make(
            seed.id,
            seed.instruction,
            pair.input,
            pair.output,
            is_classification=seed.is_classification,
            sample=number,
        )
        for seed in read_seeds(SEEDS, "seeds", "Apache-2.0").rows
        for number, pair in enumerate(seed.instances)
    ]
    return found[:count]


def train(instances: Path, folder: Path, options: list[str]) -> dict[str, float]:
    """Return the telemetry of one run of the stage, and its last loss."""
    places = [f"--{name}={folder / name}" for name in ("adapter", "merged", "history", "used")]
    places += [f"--{name}={folder / name}" for name in ("metrics", "telemetry")]
    command = [sys.executable, "-m", "refine_af", "train-sft", f"--instances={instances}", *places]
    subprocess.run([*command, *options], check=True, capture_output=True)
    found: dict[str, float] = json.loads((folder / "telemetry").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics").read_text(encoding="utf-8"))
    return found | {"loss": metrics["final_loss"], "tokens": metrics["tokens"]}


def main() -> None:
    """Train each way and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=512)
    options = parser.parse_args()
    shared = ["--model", options.model, "--max-steps", str(options.steps)]
    shared += ["--max-length", str(options.max_length), "--checkpoint-steps", "0"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        count = write_rows(folder / "instances", rows(options.rows))
        for name, way in WAYS.items():
            # A packed sequence holds several rows: fewer of them make a step of like size.
            batch = max(1, options.batch // 4) if name == "packed" else options.batch
            found = train(
                folder / "instances", folder / name, [*shared, *way, "--batch-size", str(batch)]
            )
            sys.stdout.write(
                f"{name}: {found['tokens_per_second']:.0f} tokens/s, {found['tokens']:.0f} tokens"
                f" in {options.steps} steps of {count} rows, largest memory"
                f" {found['peak_memory_bytes'] / 2**20:.0f} MiB, last loss {found['loss']:.3f}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
