"""Does PPO raise what no reward sees? Gold score on held-out prompts, start against trained.

For each seed: 256 prompts go through the stage ``train_ppo`` with the preset ``embedded``; then
start model and adapter write one instance at temperature 1 for prompts that PPO never saw, and the
exact checkers judge them (an unparseable action counts 0). Half of these prompts are in wordings
that the start model was trained on, half in wordings that are held out entirely.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from refine_af.builtin.examples import draw_instruction
from refine_af.builtin.gold import gold_score
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.skills.registry import TRAINED
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Instruction
from refine_af.runner import run_stage


def prompts(count: int, seed: int, held_out: bool) -> list[Instruction]:
    """Return instructions of trained skills, in wordings that training saw or did not see."""
    rows: dict[str, Instruction] = {}
    number = 0
    while len(rows) < count:
        rng = rng_for(seed, "ppo-gold", str(held_out), number)
        text, _ = draw_instruction(rng, rng.choice(TRAINED), held_out)
        rows.setdefault(text, Instruction.make(text, (), number, 0, 0))
        number += 1
    return list(rows.values())


def unseen(count: int, seed: int) -> list[Instruction]:
    """Return prompts that PPO does not train on: half in trained wordings, half held out."""
    trained = {row.instruction for row in prompts(256, seed, held_out=False)}
    fresh = prompts(count, seed + 1000, held_out=False)
    known = [row for row in fresh if row.instruction not in trained][: count // 2]
    return known + prompts(count - len(known), seed, held_out=True)


def write_instances(
    folder: Path, name: str, rows: list[Instruction], adapter: str, model: str
) -> list[Instance]:
    """Return one sampled instance per prompt; prompts without one are missing."""
    write_rows(folder / "prompts.jsonl", rows)
    run_stage(
        "generate_instances",
        inputs={"instructions": str(folder / "prompts.jsonl"), "adapter": adapter},
        outputs={
            "instances": str(folder / name),
            "rejected": str(folder / f"{name}.rejected"),
            "calls": str(folder / f"{name}.calls"),
        },
        params={"model": model, "style": "plain", "split": "none", "temperature": 1.0, "seed": 99}
        | {"max_tokens": 64, "engine_batch": 64},
    )
    return read_rows(folder / name, Instance)


def judge(rows: list[Instruction], instances: list[Instance]) -> dict[str, Any]:
    """Return gold per prompt, the parseable share, distinct-2 and mean length of the outputs."""
    by_parent = {instance.parents[0]: instance for instance in instances}
    gold = []
    for row in rows:
        found = by_parent.get(row.id)
        score = gold_score(found.instruction, found.input, found.output) if found else 0.0
        gold.append(0.0 if score is None else score)
    texts = [f"{one.input} {one.output}".split() for one in instances]
    pairs = Counter(pair for words in texts for pair in itertools.pairwise(words))
    return {
        "gold": gold,
        "parseable": len(instances) / len(rows),
        "distinct_2": len(pairs) / max(sum(pairs.values()), 1),
        "length": statistics.fmean(len(words) for words in texts) if texts else 0.0,
    }


def main() -> int:
    """Run the seeds and print one line each, then all together; 0 when the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--prompts", type=int, default=600, help="held-out prompts per seed")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="train_ppo")
    options = parser.parse_args()
    settings: dict[str, Any] = {
        "updates": 24,
        "episodes_per_update": 256,
        "episodes_per_prompt": 8,
        "minibatch": 256,
        "microbatch": 64,
        "epochs": 4,
        "learning_rate": 0.05,
        "warmup_updates": 1,
        "lora_rank": 0,
        "trained_weights": "model.norm.weight",
        "kl_coefficient": 0.02,
        "reward_clip": 2.0,
        "max_new_tokens": 48,
        "reward": "embedded",
        "model": options.model,
        "split": "none",
    }
    settings |= dict(item.split("=", 1) for item in options.set)
    differences: list[float] = []
    kept: list[bool] = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_rows(folder / "train.jsonl", prompts(256, seed, held_out=False))
            outputs = {
                item: str(folder / item)
                for item in ("adapter", "curves", "episodes", "alarms", "events")
            }
            found = run_stage(
                "train_ppo",
                inputs={"instructions": str(folder / "train.jsonl")},
                outputs=outputs,
                params=settings | {"seed": seed},
            )
            rows = unseen(options.prompts, seed)
            before = judge(rows, write_instances(folder, "before", rows, "", options.model))
            after = judge(
                rows, write_instances(folder, "after", rows, outputs["adapter"], options.model)
            )
            alarms = json.loads(Path(outputs["alarms"]).read_text())["alarms"]
        changes = [b - a for a, b in zip(before["gold"], after["gold"], strict=True)]
        differences += changes
        error = statistics.stdev(changes) / len(changes) ** 0.5
        drift = {key: after[key] / before[key] - 1 for key in ("distinct_2", "length")}
        kept.append(all(abs(value) <= 0.2 for value in drift.values()))
        print(
            f"seed {seed}: gold {statistics.fmean(before['gold']):.3f} ->"
            f" {statistics.fmean(after['gold']):.3f} ({statistics.fmean(changes):+.3f},"
            f" standard error {error:.3f}); parseable {before['parseable']:.3f} ->"
            f" {after['parseable']:.3f}; distinct-2 {drift['distinct_2']:+.0%},"
            f" length {drift['length']:+.0%}; reward {found['reward_first']:.2f} ->"
            f" {found['reward_last']:.2f}, KL {found['kl_last']:.1f} nats; alarms {len(alarms)}",
            flush=True,
        )
    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / len(differences) ** 0.5
    print(f"all seeds: {mean:+.3f}, standard error {error:.3f}, {mean / error:.1f} errors above 0")
    return 0 if mean > 2 * error and all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
