"""Does RL-made data beat other data on a real small model? One command, every seed to its table.

``python benchmarks/real_models.py --model FOLDER --tasks FILE --output FOLDER`` runs the pipeline
of ``real_models.yaml`` once per seed (arms rl, baseline, best_of_n and the A/A arm baseline_b, and
the untuned model), and prints one table from the answers. ``--study teams-rl`` does the same for
``real_teams_rl.yaml`` (arms learned, uniform, released_mix and no_evolution), with the model calls
that each arm's data cost. A seed that is finished is not run again
and a killed one continues, so the same command can be repeated until all are there; the table is of
the seeds that are finished. The protocol is in ``benchmarks/README.md``.

Legend: S seeds, T tasks.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, sqrt
from pathlib import Path
from statistics import NormalDist, fmean, median, stdev
from typing import Any

import numpy as np
from claim import refused

from refine_af.contracts.jsonl import iter_objects, read_rows
from refine_af.contracts.records import Prediction
from refine_af.evaluation.intervals import TIE, Floats, crossed_intervals
from refine_af.evaluation.metrics import AnswerScorer
from refine_af.evolve.ledger import merged
from refine_af.runner import run_stage

FOLDER = Path(__file__).parent
BEST_START = "start_best"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Study:
    """What is asked of a pipeline.

    Attributes:
        config: What runs once per seed.
        arms: In the order of the table; the untuned model first.
        pairs: First against second.
        twins: Two arms that differ in their draws alone (A/A); None: see :func:`repeated_runs`.
        judged: Stages whose reward asks a language model.
    """

    config: Path
    arms: tuple[str, ...]
    pairs: tuple[Pair, ...]
    twins: Pair | None
    judged: tuple[str, ...]

    @property
    def must_compare(self) -> tuple[Pair, ...]:
        """Return the pairs of trained arms that a run's own report has to compare."""
        pairs = (*self.pairs, self.twins) if self.twins else self.pairs
        return tuple(pair for pair in pairs if not {"start", BEST_START} & set(pair))


STUDIES = {
    "refine-af": Study(
        config=FOLDER / "real_models.yaml",
        arms=("start", "baseline", "baseline_b", "best_of_n", "rl"),
        pairs=(
            ("rl", "baseline"),
            ("rl", "best_of_n"),
            ("best_of_n", "baseline"),
            ("baseline", "start"),
            ("rl", "start"),
            ("baseline", BEST_START),
            ("rl", BEST_START),
        ),
        twins=("baseline_b", "baseline"),
        judged=("train_ppo", "score_rewards"),
    ),
    "teams-rl": Study(
        config=FOLDER / "real_teams_rl.yaml",
        arms=("start", "uniform", "learned", "released_mix", "no_evolution"),
        pairs=(
            ("learned", "uniform"),
            ("learned", "released_mix"),
            ("learned", "no_evolution"),
            ("uniform", "no_evolution"),
            ("uniform", "start"),
            ("learned", "start"),
            ("learned", BEST_START),
        ),
        twins=None,
        judged=(),
    ),
}

Scores = dict[str, dict[str, float]]
"""Mean ROUGE-L in [0, 1] by arm and task."""


def command(options: argparse.Namespace, seed: int, folder: Path) -> list[str]:
    """Return the command that runs one seed, or goes on with it."""
    study = STUDIES[options.study]
    judge = options.language_model or options.model
    values = {"model": options.model, "tasks_uri": str(options.tasks.absolute())}
    values |= {f"{stage}.language_model": judge for stage in study.judged}
    settings = [f"{name}={value}" for name, value in values.items()] + options.settings
    words = [
        sys.executable,
        "-m",
        "refine_af",
        "run",
        "--config",
        str(options.config or study.config),
    ]
    words += ["--seed", str(seed), "--output-dir", str(folder)]
    return words + [word for text in settings for word in ("--set", text)]


def run_seed(options: argparse.Namespace, seed: int, folder: Path) -> None:
    """Run one seed to its report and ask the untuned model in its best form, or find both."""
    if not (folder / "artifacts" / "report" / "result").exists():
        subprocess.run(command(options, seed, folder), check=True)
    best = folder / "artifacts" / f"evaluate-{BEST_START}"
    if options.best_form and not best.exists():
        known = folder / "artifacts" / "evaluate-start" / "provenance"
        params = json.loads(known.read_text(encoding="utf-8"))["params"]
        params |= dict(text.split("=", 1) for text in options.best_form.split(","))
        names = ("predictions", "scores", "provenance", "telemetry")
        run_stage(
            "evaluate",
            inputs={},
            outputs={name: str(best / name) for name in names},
            params=params,
            work_dir=str(folder / "work"),
            label=BEST_START,
        )


def read_seed(folder: Path, study: Study) -> dict[str, list[Prediction]]:
    """Return the answers of each arm of a finished seed.

    Raises:
        ValueError: When the run's own report found arms not comparable.
    """
    for pair in study.must_compare:
        if refused(folder, pair) and refused(folder, pair[::-1]):
            raise ValueError(f"{folder}: {pair} are not comparable; see its report")
    folders = {arm: folder / "artifacts" / f"evaluate-{arm}" for arm in (*study.arms, BEST_START)}
    there = {arm: one / "predictions" for arm, one in folders.items() if one.exists()}
    return {arm: read_rows(path, Prediction) for arm, path in there.items()}


def cut(answer: str, references: Sequence[str]) -> str:
    """Return the first words of an answer, as many as the longest reference has."""
    return " ".join(answer.split()[: max(len(text.split()) for text in references)])


def task_means(rows: Sequence[Prediction], *, shortened: bool = False) -> dict[str, float]:
    """Return mean ROUGE-L by task, of the answers as they are or cut to the references' length."""
    scorer = AnswerScorer()
    scores: dict[str, list[float]] = {}
    for row in rows:
        value = row.rouge_l
        if shortened:
            value = scorer.rouge_l(cut(row.prediction, row.references), row.references)
        scores.setdefault(row.task, []).append(value)
    return {task: fmean(values) for task, values in sorted(scores.items())}


def differences(seeds: Sequence[Scores], pair: tuple[str, str]) -> Floats:
    """Return first minus second by seed and task, [S, T], in [-1, 1]."""
    tasks = sorted(seeds[0][pair[0]])
    return np.array([[one[pair[0]][t] - one[pair[1]][t] for t in tasks] for one in seeds])


def outcomes(deltas: Floats) -> tuple[int, int, int]:
    """Return wins, ties and losses of tasks; a task's mean over the seeds decides it."""
    means = deltas.mean(axis=0)
    wins, losses = int((means > TIE).sum()), int((means < -TIE).sum())
    return wins, len(means) - wins - losses, losses


def line(pair: tuple[str, str], label: str, deltas: Floats) -> dict[str, Any]:
    """Return one row of the table."""
    wins, ties, losses = outcomes(deltas)
    share, mean = crossed_intervals(deltas, seed=1)
    return {
        "pair": f"{pair[0]} against {pair[1]}",
        "seeds": label,
        "wins": wins,
        "ties": ties,
        "losses": losses,
        "win_share": wins / (wins + losses) if wins + losses else None,
        "win_share_interval": [share.low, share.high],
        "mean_difference": 100 * float(deltas.mean()),
        "mean_interval": [100 * (mean.low or 0.0), 100 * (mean.high or 0.0)],
    }


def tasks_needed(share: float, ties: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """Return how many tasks show a win share of decided tasks against a half.

    Two-sided sign test in its normal approximation.

    Args:
        share: True win share of decided tasks, not a half.
        ties: Share of tasks that are tied.
        power: Chance to see it.
        level: Of the test.
    """
    normal = NormalDist()
    wide = normal.inv_cdf(1 - level / 2) * 0.5
    wide += normal.inv_cdf(power) * sqrt(share * (1 - share))
    return ceil((wide / (share - 0.5)) ** 2 / (1 - ties))


def share_over_seeds(share: float, seeds: int) -> float:
    """Return the win share of means over ``seeds`` where one seed has ``share``.

    The difference of a task is normal with the same mean in every seed, and its noise falls with
    the root of the seeds: share = phi(effect / noise).
    """
    normal = NormalDist()
    return normal.cdf(normal.inv_cdf(share) * sqrt(seeds))


def power_table(deltas: Floats, share: float = 0.6) -> dict[str, Any]:
    """Return what is needed to see ``share`` against a half, from the A/A differences [S, T]."""
    ties = float(np.mean(np.abs(deltas) <= TIE))
    counts = range(1, 6)
    spread = 100 * float(np.std(deltas, ddof=1))
    return {
        "aa_spread_of_a_task": spread,
        "aa_error_of_the_mean": spread / sqrt(deltas.size),
        "aa_tied": ties,
        "mean_difference_seen": 2.8 * spread / sqrt(deltas.size),
        "tasks_needed": {n: tasks_needed(share_over_seeds(share, n), ties) for n in counts},
    }


def lengths(seeds: Sequence[Mapping[str, list[Prediction]]], arm: str) -> dict[str, float]:
    """Return scores and length of an arm's answers over all seeds."""
    rows = [row for one in seeds for row in one[arm]]
    words = [len(row.prediction.split()) for row in rows]
    by_seed = [100 * fmean(row.rouge_l for row in one[arm]) for one in seeds]
    return {
        "rouge_l": fmean(by_seed),
        "rouge_l_spread_over_seeds": stdev(by_seed) if len(by_seed) > 1 else 0.0,
        "rouge_l_cut": 100 * fmean(task_means(rows, shortened=True).values()),
        "exact_match": 100 * fmean(row.exact_match for row in rows),
        "mean_words": fmean(words),
        "median_words": median(words),
    }


def tables(
    seeds: Mapping[int, Mapping[str, list[Prediction]]], study: Study = STUDIES["refine-af"]
) -> dict[str, Any]:
    """Return every number of the study."""
    there = [arm for arm in (*study.arms, BEST_START) if all(arm in one for one in seeds.values())]
    wanted = (*study.pairs, study.twins) if study.twins else study.pairs
    pairs = [pair for pair in wanted if set(pair) <= set(there)]
    result: dict[str, Any] = {
        "seeds": list(seeds),
        "arms": {arm: lengths(list(seeds.values()), arm) for arm in there},
    }
    for name, shortened in (("as_written", False), ("cut", True)):
        scores = {
            seed: {arm: task_means(one[arm], shortened=shortened) for arm in there}
            for seed, one in seeds.items()
        }
        rows = []
        for pair in pairs:
            rows += [line(pair, str(seed), differences([scores[seed]], pair)) for seed in seeds]
            if len(seeds) > 1:
                rows.append(line(pair, "mean", differences(list(scores.values()), pair)))
        result[name] = rows
        label, repeated = repeated_runs(list(scores.values()), study)
        if label and study.twins is None:
            result[name] += [line(label, "pairs of seeds", repeated)]
        if (np.abs(repeated) > TIE).any():
            result[f"power_{name}"] = power_table(repeated)
    return result


def repeated_runs(seeds: Sequence[Scores], study: Study) -> tuple[Pair | None, Floats]:
    """Return what is compared where only draws differ, and its differences, [S, T].

    Where a run has no twin arm, the second arm of the first pair is held against itself with
    another seed, every two seeds once; the questions are the same for all seeds.
    """
    if study.twins is not None:
        if set(study.twins) <= set(seeds[0]):
            return study.twins, differences(seeds, study.twins)
        return None, np.zeros((1, 1))
    arm = study.pairs[0][1]
    pairs = [{"one": one[arm], "other": other[arm]} for one, other in combinations(seeds, 2)]
    if not pairs:
        return None, np.zeros((1, 1))
    return (arm, f"{arm} with another seed"), differences(pairs, ("one", "other"))


def model_calls(folder: Path, arm: str) -> dict[str, int]:
    """Return the model calls that an arm's data cost in a run, by who made them.

    The calls of training the operator policy are the learned arm's.
    """
    stages = [f"evolve_instructions-{arm}", f"generate_responses-{arm}"]
    stages += ["train_operator_policy"] if arm == "learned" else []
    paths = [folder / "artifacts" / stage / "ledger" for stage in stages]
    ledgers = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    return {
        role: sum(entry["calls"] for entry in phases.values())
        for role, phases in merged(ledgers).items()
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Return the tables for people."""
    lines = _calls(found["calls"]) if found.get("calls") else []
    lines += [
        "| arm | ROUGE-L | cut to the reference's length | exact match | words, mean; median |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {arm} | {one['rouge_l']:.2f} | {one['rouge_l_cut']:.2f} | {one['exact_match']:.2f} |"
        f" {one['mean_words']:.1f}; {one['median_words']:g} |"
        for arm, one in found["arms"].items()
    ]
    for name, title in (("as_written", "As written"), ("cut", "Cut to the reference's length")):
        lines += ["", f"{title}:", ""]
        lines += [
            "| pair | seed | won, tied, lost | win share of decided | 95 % interval |"
            " mean difference, points | 95 % interval |",
            "| --- | --- | ---: | ---: | --- | ---: | --- |",
        ]
        lines += [_row(one) for one in found[name]]
        if f"power_{name}" in found:
            lines += ["", _needed(found[f"power_{name}"])]
    return "\n".join(lines) + "\n"


def _calls(by_arm: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the table of mean calls per seed."""
    return [
        "| arm | instructions kept | rewrites | reviews | answers | calls in all |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {arm} | {one['kept']:g} | {one.get('evolver', 0):g} | {one.get('judge', 0):g} |"
            f" {one.get('responder', 0):g} |"
            f" {sum(count for role, count in one.items() if role != 'kept'):g} |"
            for arm, one in by_arm.items()
        ),
        "",
    ]


def calls_by_arm(folders: Sequence[Path], study: Study) -> dict[str, dict[str, float]]:
    """Return mean calls per seed and role, and instructions kept, of each arm that evolved."""
    found: dict[str, dict[str, float]] = {}
    for arm in study.arms:
        counted = [model_calls(folder, arm) for folder in folders]
        if any(counted):
            roles = sorted({role for one in counted for role in one})
            found[arm] = {role: fmean(one.get(role, 0) for one in counted) for role in roles}
            kept = [folder / "artifacts" / f"dedup_filter-{arm}" / "kept" for folder in folders]
            found[arm]["kept"] = fmean(sum(1 for _ in iter_objects(path)) for path in kept)
    return found


def _row(one: Mapping[str, Any]) -> str:
    share = "-" if one["win_share"] is None else f"{100 * one['win_share']:.1f} %"
    low, high = one["win_share_interval"]
    ends = "-" if low is None else f"{100 * low:.0f} to {100 * high:.0f} %"
    least, most = one["mean_interval"]
    return (
        f"| {one['pair']} | {one['seeds']} | {one['wins']}, {one['ties']}, {one['losses']} |"
        f" {share} | {ends} | {one['mean_difference']:+.2f} | {least:+.2f} to {most:+.2f} |"
    )


def _needed(power: Mapping[str, Any]) -> str:
    needed = ", ".join(f"{count} ({n} seeds)" for n, count in power["tasks_needed"].items())
    return (
        f"A/A: a task's difference spreads by {power['aa_spread_of_a_task']:.1f} points,"
        f" {100 * power['aa_tied']:.0f} % of tasks are tied. To see a share of 60 % in one seed"
        f" four times of five: {needed} tasks; a mean difference of"
        f" {power['mean_difference_seen']:.1f} points is seen with what there is."
    )


def main() -> None:
    """Run what is missing and print the table of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder or Hub id of the model")
    parser.add_argument("--language-model", default="", help="of the reward; the model itself")
    parser.add_argument("--tasks", type=Path, required=True, help="evaluation tasks")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--study", choices=sorted(STUDIES), default="refine-af")
    parser.add_argument("--config", type=Path, help="instead of the study's own")
    parser.add_argument(
        "--best-form", default="", help="of the untuned model: chat=yes,prompt=bare"
    )
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    folders = {int(n): options.output.absolute() / f"seed-{n}" for n in options.seeds.split(",")}
    for seed, folder in folders.items():
        if not options.table:
            run_seed(options, seed, folder)
    done = {n: one for n, one in folders.items() if (one / "artifacts/report/result").exists()}
    if not done:
        raise SystemExit(f"{options.output}: no finished seed")
    study = STUDIES[options.study]
    found = tables({seed: read_seed(folder, study) for seed, folder in done.items()}, study)
    found["calls"] = calls_by_arm(list(done.values()), study)
    (options.output / "study.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    text = markdown(found)
    (options.output / "study.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
