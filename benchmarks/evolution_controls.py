"""A learned choice of operators against uniform, the released mix and no evolution, over seeds.

``python benchmarks/evolution_controls.py --output FOLDER`` calls the stages of the preset
``teams-rl-controls`` (all but the privacy audit) in one process, once per seed, and prints two
tables. What is finished is not run again and a killed stage continues, so the same command can be
repeated until all seeds are there. The arms of a seed share seeds and the limit on calls.

Each number of an arm is one run's, as its report shows it. Intervals are of Student's t over the
seeds, 95 %; with three seeds they are wide, and they say nothing about other models: rewriter,
reviewer and student are the embedded test model.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from refine_af.contracts.stage import task_folder
from refine_af.pipelines.bounds import resolved
from refine_af.pipelines.config import RunConfig, load_config
from refine_af.runner import find_stage, run_stage
from refine_af.statistics import students_t

ARMS = ("uniform", "learned", "released_mix", "no_evolution")
"""Uniform first: it sets the zero and the unit of the other arms' rewards."""
OTHERS = tuple(arm for arm in ARMS if arm != "learned")
NUMBERS = {
    "per_thousand_calls": "distinct valid per 1,000 calls",
    "kept": "instructions kept",
    "diversity": "distance to the nearest other, 0 to 1",
    "reviewer_acceptance": "accepted by the reviewer, %",
    "reward": "reward of the instances, deviations",
    "rouge_l": "downstream ROUGE-L, points",
}


class Chain:
    """The stages of one seed; ``spent`` adds up their CPU seconds in this process."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        """Lay out the tasks below ``folder`` as a run does."""
        self.folder, self.config = folder, config
        self.spent: dict[str, float] = {}

    def path(self, stage: str, arm: str, name: str) -> str:
        """Return the place of an artifact."""
        return str(self.folder / "artifacts" / task_folder(stage, arm) / name)

    def run(self, stage: str, arm: str, inputs: dict[str, str], **params: Any) -> None:  # noqa: ANN401
        """Run a stage, or find it finished."""
        if Path(self.path(stage, arm, "metrics")).exists():
            return
        found = find_stage(stage)
        names = [item.name for item in found.outputs] + ["metrics", "provenance", "telemetry"]
        outputs = {name: self.path(stage, arm, name) for name in names}
        started = time.process_time()
        run_stage(
            stage,
            inputs=inputs,
            outputs=outputs,
            params=resolved(self.config, found) | params,
            work_dir=str(self.folder / "work"),
            label=arm,
        )
        self.spent[f"{stage} {arm}".strip()] = time.process_time() - started

    def write(self, arm: str) -> None:
        """Evolve and filter one arm."""
        plain = arm == "no_evolution"
        seeds = self.path("seed_ingest", "", "seeds")
        policy = {"operator_policy": self.path("train_operator_policy", "", "policy")}
        given = {"seeds": seeds} | (policy if arm == "learned" else {})
        self.run("evolve_instructions", arm, given, policy=arm)
        candidates = {"candidates": self.path("evolve_instructions", arm, "instructions")}
        self.run("dedup_filter", arm, candidates | ({} if plain else {"pool": seeds}))

    def tune(self, arm: str) -> None:
        """Answer, score, fine-tune and evaluate one arm."""
        evolve = resolved(self.config, find_stage("evolve_instructions"))
        kept = {"instructions": self.path("dedup_filter", arm, "kept")}
        many = {"samples": evolve["steps"] * evolve["passes"]} if arm == "no_evolution" else {}
        self.run("generate_responses", arm, kept, **many)
        answered = {"instances": self.path("generate_responses", arm, "instances")}
        reference = {"reference": self.path("score_rewards", "uniform", "scored")}
        self.run("score_rewards", arm, answered | ({} if arm == "uniform" else reference))
        self.run("train_sft", arm, {"instances": self.path("score_rewards", arm, "scored")})
        self.run("evaluate", arm, {"adapter": self.path("train_sft", arm, "adapter")})


def run_seed(
    folder: Path, preset: str, seed: int, settings: list[str], tune: bool
) -> dict[str, float]:
    """Run one seed to its report and return the report's numbers."""
    config = load_config(preset, "").with_values((f"seed={seed}", *settings))
    chain = Chain(folder, config)
    chain.run("seed_ingest", "", {})
    seeds = chain.path("seed_ingest", "", "seeds")
    chain.run("train_operator_policy", "", {"seeds": seeds})
    for arm in ARMS:
        chain.write(arm)
    for arm in ARMS if tune else ():
        chain.tune(arm)
    which = "tuned" if tune else "evolved"
    chain.run("report", which, {"run": str(folder)})
    if chain.spent:
        shown = ", ".join(f"{name} {value:.0f}" for name, value in chain.spent.items())
        sys.stderr.write(f"seed {seed}: CPU seconds {shown}\n")
    path = Path(chain.path("report", which, "metrics"))
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def interval(values: list[float]) -> str:
    """Return ``mean +- half the width`` of the 95 % interval of the mean."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3g}"
    half = students_t(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.3g} +- {half:.2g}"


def tables(found: list[dict[str, float]]) -> str:
    """Return the arms side by side, and learned minus each other arm, paired by seed."""
    head = f"| what | {' | '.join(ARMS)} |\n| --- |{' ---: |' * len(ARMS)}\n"
    lines = [head]
    for name, title in NUMBERS.items():
        columns = [
            [run[f"{arm}_{name}"] for run in found if f"{arm}_{name}" in run] for arm in ARMS
        ]
        lines.append(
            f"| {title} | {' | '.join(interval(one) if one else '-' for one in columns)} |\n"
        )
    lines.append(f"\n| learned minus | {' | '.join(OTHERS)} |\n| --- |{' ---: |' * len(OTHERS)}\n")
    for name, title in NUMBERS.items():
        cells = []
        for arm in OTHERS:
            both = [run for run in found if f"{arm}_{name}" in run and f"learned_{name}" in run]
            apart = [run[f"learned_{name}"] - run[f"{arm}_{name}"] for run in both]
            cells.append(interval(apart) if apart else "-")
        lines.append(f"| {title} | {' | '.join(cells)} |\n")
    return "".join(lines)


def main() -> None:
    """Run all seeds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--preset", default="teams-rl-controls")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--evolve-only", action="store_true", help="No answers, no fine-tuning.")
    options = parser.parse_args()
    root = options.output.absolute()
    seeds = [int(one) for one in options.seeds.split(",")]
    tune = not options.evolve_only
    found = [
        run_seed(root / f"seed-{one}", options.preset, one, options.settings, tune) for one in seeds
    ]
    text = tables(found)
    (options.output / "controls.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
