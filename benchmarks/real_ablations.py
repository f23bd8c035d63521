"""Why RL helps or does not: the study's student on other rows, after ``real_models.py``.

``python benchmarks/real_ablations.py --study FOLDER --rows TRAINING_TASKS --output FOLDER`` adds
arms to each finished seed of a study. Each is trained on as many rows as the seed's ``baseline``,
with its settings, and answers its questions:

- ``again``: the baseline's own rows; its answers have to be the study's, byte for byte;
- ``people``: packaged seeds, instruction and output written by people (are better pairs of use?);
- ``tasks``: questions of SUPER-NI training tasks with their references (is the student able to?);
- ``worst_of_n``: of the pairs that ``best_of_n`` chose from, those that the reward likes least;
- ``rated_high``, ``rated_low``: two pairs of the start model for each of the instructions that
  ``task_rating`` likes most, and least (does it choose instructions that the student needs?);
- ``rl_long``: as ``rl``, with more updates of PPO (were there too few episodes?).

``baseline_best_form``, ``best_of_n_best_form`` and ``rl_best_form`` are the study's own students,
``tasks_best_form`` and ``people_best_form`` those of these arms, asked in the words that were the
untuned model's best.

What is there is not run again. The protocol is in ``benchmarks/README.md``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import Any

from real_models import BEST_START, STUDIES, markdown, read_seed, tables

from refine_af.contracts.jsonl import iter_objects, read_rows, write_rows
from refine_af.contracts.records import Instance, Prediction, Rejected, Seed
from refine_af.contracts.stage import EVERY_STAGE_WRITES
from refine_af.runner import find_stage, run_stage
from refine_af.self_instruct.params import BootstrapParams
from refine_af.storage.journal import MemoryJournal

SHORT = (160, 60)
"""Most words before the answer and in it, so that rows fit ``train_sft.max_length``."""


@dataclass(frozen=True)
class Finished:
    """A finished seed of the study, and where its further arms go."""

    number: int
    folder: Path
    output: Path

    def known(self, task: str) -> Path:
        """Return the folder of a task's outputs in the study."""
        return self.folder / "artifacts" / task

    def params(self, task: str) -> dict[str, Any]:
        """Return the parameters that a task of the study ran with."""
        text = (self.known(task) / "provenance").read_text(encoding="utf-8")
        values: dict[str, Any] = json.loads(text)["params"]
        return values

    def rows(self) -> int:
        """Return how many rows the study's arms were trained on."""
        metrics = json.loads((self.known("train_sft-baseline") / "metrics").read_text("utf-8"))
        return int(metrics["rows"])

    def run(self, task: str, stage: str, params: Mapping[str, Any], **inputs: Path) -> Path:
        """Run a stage, or find its outputs, and return their folder."""
        target = self.output / task
        if not (target / "metrics").exists():
            artifacts = (*find_stage(stage).outputs, *EVERY_STAGE_WRITES)
            run_stage(
                stage,
                inputs={name: str(path) for name, path in inputs.items()},
                outputs={item.name: str(target / item.name) for item in artifacts},
                params=params,
                work_dir=str(self.output / "work"),
                label=task.partition("-")[2],
            )
        return target


def pair(key: str, instruction: str, input_text: str, output: str) -> Instance:
    """Return a row that no model wrote."""
    return Instance.make(key, instruction, input_text, output, is_classification=False, sample=0)


def is_short(row: Instance) -> bool:
    """Tell whether a row is within :data:`SHORT`."""
    asked, answered = SHORT
    words = len(f"{row.instruction} {row.input}".split())
    return words <= asked and len(row.output.split()) <= answered


def drawn(rows: Iterable[Instance], count: int, seed: int) -> list[Instance]:
    """Return ``count`` short rows, drawn by ``seed``; one of each instruction.

    Raises:
        ValueError: When there are not so many.
    """
    by_instruction: dict[str, list[Instance]] = {}
    for row in filter(is_short, rows):
        by_instruction.setdefault(row.instruction, []).append(row)
    draw = Random(seed)
    firsts = [draw.choice(same) for same in by_instruction.values()]
    if len(firsts) < count:
        raise ValueError(f"{len(firsts)} short rows of different instructions; {count} are needed")
    return draw.sample(firsts, count)


def rows_of_people(seed: Finished, options: argparse.Namespace) -> Path:
    """Write rows of packaged seeds."""
    seeds = read_rows(seed.known("seed_ingest") / "seeds", Seed)
    rows = [
        pair(one.id, one.instruction, example.input, example.output)
        for one in seeds
        for example in one.instances
    ]
    return written(seed, "people", rows)


def rows_of_tasks(seed: Finished, options: argparse.Namespace) -> Path:
    """Write questions of training tasks with their first references."""
    rows = [
        pair(row["id"], row["definition"], row["input"], row["references"][0])
        for _, row in iter_objects(options.rows)
    ]
    return written(seed, "tasks", rows)


def written(seed: Finished, arm: str, rows: Iterable[Instance]) -> Path:
    """Write as many of the rows as an arm of the study had."""
    path = seed.output / f"{arm}.jsonl"
    write_rows(path, drawn(rows, seed.rows(), seed.number))
    return path


def rows_of_baseline(seed: Finished, options: argparse.Namespace) -> Path:
    """Return the rows of the study's baseline."""
    return seed.known("score_rewards-baseline") / "scored"


def rows_of_worst_choice(seed: Finished, options: argparse.Namespace) -> Path:
    """Write the pair of each instruction that scored lowest among those of ``best_of_n``."""
    judged = seed.known("score_rewards-best_of_n")
    scores = {row.id: row.total or 0.0 for row in read_rows(judged / "scored", Instance)}
    lost = read_rows(judged / "rejected", Rejected)
    scores |= {row.parents[0]: row.score or 0.0 for row in lost}
    made = read_rows(seed.known("generate_instances-best_of_n") / "instances", Instance)
    lowest: dict[str, Instance] = {}
    for row in sorted(made, key=lambda row: scores[row.id]):
        lowest.setdefault(row.parents[0], row)
    path = seed.output / "worst_of_n.jsonl"
    write_rows(path, lowest.values())
    return path


def rows_by_rating(seed: Finished, best: bool) -> Path:
    """Write the first two pairs of ``best_of_n`` of the best, or worst, rated instructions."""
    path = seed.output / f"rated_{'high' if best else 'low'}.jsonl"
    if path.exists():
        return path
    pairs: dict[str, list[Instance]] = {}
    for row in read_rows(seed.known("generate_instances-best_of_n") / "instances", Instance):
        pairs.setdefault(row.instruction, []).append(row)
    rated = dict(zip(pairs, ratings(seed, list(pairs)), strict=True))
    ordered = sorted(pairs, key=lambda text: rated[text], reverse=best)
    rows = [row for text in ordered for row in pairs[text][:2]]
    write_rows(path, rows[: seed.rows()])
    return path


def ratings(seed: Finished, instructions: Sequence[str]) -> Sequence[float]:
    """Return ``task_rating`` of instructions, as the stage that wrote them would have rated."""
    from refine_af.self_instruct.task_rating import open_rating

    params = BootstrapParams(**{**seed.params("generate_instructions"), "task_rating": "pmi"})
    seeds = read_rows(seed.known("seed_ingest") / "seeds", Seed)
    rate = open_rating(params, seeds, MemoryJournal())
    assert rate is not None
    return rate(instructions)


def rows_of_longer_ppo(seed: Finished, options: argparse.Namespace) -> Path:
    """Train PPO for more updates and let the policy answer the study's instructions."""
    kept = seed.known("dedup_filter") / "kept"
    ppo = seed.params("train_ppo")
    ppo["updates"] *= options.more_updates
    policy = seed.run("train_ppo-rl_long", "train_ppo", ppo, instructions=kept)
    made = seed.run(
        "generate_instances-rl_long",
        "generate_instances",
        seed.params("generate_instances-rl"),
        instructions=kept,
        adapter=policy / "adapter",
    )
    reward = seed.params("score_rewards-rl")
    pairs = made / "instances"
    reference = seed.known("score_rewards-baseline") / "scored"
    scored = seed.run(
        "score_rewards-rl_long", "score_rewards", reward, instances=pairs, reference=reference
    )
    return scored / "scored"


ARMS: dict[str, Callable[[Finished, argparse.Namespace], Path]] = {
    "again": rows_of_baseline,
    "people": rows_of_people,
    "tasks": rows_of_tasks,
    "worst_of_n": rows_of_worst_choice,
    "rated_high": lambda seed, _: rows_by_rating(seed, best=True),
    "rated_low": lambda seed, _: rows_by_rating(seed, best=False),
    "rl_long": rows_of_longer_ppo,
}


BEST_FORM = "_best_form"
ASKED_AGAIN = tuple(
    f"{arm}{BEST_FORM}" for arm in ("baseline", "best_of_n", "rl", "tasks", "people")
)
AMONG_EACH_OTHER = (
    ("best_of_n", "worst_of_n"),
    ("rated_high", "rated_low"),
    ("rl_long", "rl"),
    (f"best_of_n{BEST_FORM}", f"baseline{BEST_FORM}"),
    (f"rl{BEST_FORM}", f"baseline{BEST_FORM}"),
    (f"tasks{BEST_FORM}", f"baseline{BEST_FORM}"),
    (f"people{BEST_FORM}", f"baseline{BEST_FORM}"),
)
MATCHED = {
    "again": ("best_of_n", "rl", "baseline_b"),
    "worst_of_n": ("baseline", "rl", "baseline_b"),
}
"""Arms whose rows answer the very instructions that the study's arms were trained on."""


def train_and_ask(seed: Finished, arm: str, options: argparse.Namespace) -> None:
    """Train the student on an arm's rows and ask it the study's questions."""
    if arm in ASKED_AGAIN:
        student = arm.removesuffix(BEST_FORM)
        tuned = seed.output if student in ARMS else seed.folder / "artifacts"
        asked = seed.params(f"evaluate-{BEST_START}")
        adapter = tuned / f"train_sft-{student}" / "adapter"
        seed.run(f"evaluate-{arm}", "evaluate", asked, adapter=adapter)
        return
    seed.output.mkdir(parents=True, exist_ok=True)
    inputs = {"instances": ARMS[arm](seed, options)}
    params = seed.params("train_sft-baseline")
    if arm in MATCHED:
        names = ("match", "match_2", "match_3")
        inputs |= {
            name: seed.known(f"score_rewards-{other}") / "scored"
            for name, other in zip(names, MATCHED[arm], strict=True)
        }
    elif arm == "rl_long":
        inputs["match"] = seed.known("score_rewards-baseline") / "scored"
        params["rows"] = seed.rows()
    tuned = seed.run(f"train_sft-{arm}", "train_sft", params, **inputs)
    asked = seed.params("evaluate-baseline")
    seed.run(f"evaluate-{arm}", "evaluate", asked, adapter=tuned / "adapter")


def answers(seed: Finished, arms: Iterable[str]) -> dict[str, list[Prediction]]:
    """Return the answers of the study's arms and of those that were added."""
    there = read_seed(seed.folder, STUDIES["refine-af"])
    for arm in arms:
        path = seed.output / f"evaluate-{arm}" / "predictions"
        if path.exists():
            there[arm] = read_rows(path, Prediction)
    return there


def same_again(seed: Finished) -> bool:
    """Tell whether the baseline's answers came out as they are in the study."""
    paths = (seed.known("evaluate-baseline"), seed.output / "evaluate-again")
    first, second = ((path / "predictions").read_bytes() for path in paths)
    return first == second


def reward_lines(seeds: Iterable[Finished]) -> list[str]:
    """Return the mean reward of the rows of each arm and seed, in standard deviations."""
    lines = ["| arm | seed | rows | reward, deviations | standard error |"]
    lines += ["| --- | --- | ---: | ---: | ---: |"]
    for seed in seeds:
        folders = [*seed.folder.glob("artifacts/score_rewards-*")]
        folders += seed.output.glob("score_rewards-*")
        for folder in sorted(folders, key=lambda path: path.name):
            totals = [row.total or 0.0 for row in read_rows(folder / "scored", Instance)]
            error = stdev(totals) / len(totals) ** 0.5
            arm = folder.name.partition("-")[2]
            lines.append(
                f"| {arm} | {seed.number} | {len(totals)} | {fmean(totals):+.2f} | {error:.2f} |"
            )
    return lines


def ppo_lines(seeds: Iterable[Finished]) -> list[str]:
    """Return the rewards of PPO's episodes by sixths of a training."""
    lines = ["| PPO of | seed | updates | reward of the episodes, by sixths | KL at the end |"]
    lines += ["| --- | --- | ---: | --- | ---: |"]
    for seed in seeds:
        runs = {"rl": seed.known("train_ppo"), "rl_long": seed.output / "train_ppo-rl_long"}
        for arm, folder in runs.items():
            if (folder / "curves").exists():
                curve = [row for _, row in iter_objects(folder / "curves")]
                size = max(1, len(curve) // 6)
                means = [
                    fmean(row["reward_mean"] for row in curve[start : start + size])
                    for start in range(0, size * 6, size)
                ]
                text = ", ".join(f"{mean:+.2f}" for mean in means)
                end = curve[-1]["kl"]
                lines.append(f"| {arm} | {seed.number} | {len(curve)} | {text} | {end:.2f} |")
    return lines


def report(seeds: list[Finished], arms: list[str]) -> str:
    """Return the tables: rewards, PPO's curves, students."""
    found = {seed.number: answers(seed, arms) for seed in seeds}
    added = [arm for arm in arms if arm != "again" and all(arm in one for one in found.values())]
    study = STUDIES["refine-af"]
    pairs = [(arm, "baseline") for arm in added if arm in ARMS]
    pairs += [(arm, BEST_START) for arm in added]
    pairs += [pair for pair in AMONG_EACH_OTHER if set(pair) & set(added)]
    study = replace(study, arms=(*study.arms, *added), pairs=tuple(pairs))
    checked = [seed for seed in seeds if (seed.output / "evaluate-again").exists()]
    lines = [
        f"seed {seed.number}: the baseline run again gives"
        f" {'the same' if same_again(seed) else 'OTHER'} answers"
        for seed in checked
    ]
    lines += ["", *reward_lines(seeds), "", *ppo_lines(seeds), ""]
    return "\n".join(lines) + "\n" + markdown(tables(found, study))


def main() -> None:
    """Add what is missing and print the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="output of real_models.py")
    parser.add_argument("--rows", type=Path, help="SUPER-NI training tasks, for the arm tasks")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--arms", default=",".join((*ARMS, *ASKED_AGAIN)))
    parser.add_argument("--more-updates", type=int, default=8, help="times as many, for rl_long")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    output, study = options.output.absolute(), options.study.absolute()
    numbers = [int(text) for text in options.seeds.split(",")]
    seeds = [Finished(n, study / f"seed-{n}", output / f"seed-{n}") for n in numbers]
    arms = options.arms.split(",")
    if not options.table:
        for arm in arms:
            for seed in seeds:
                train_and_ask(seed, arm, options)
    text = report(seeds, arms)
    (output / "ablations.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
