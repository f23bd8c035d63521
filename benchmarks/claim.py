"""The paper's claim at our scale: RL against no RL, against best-of-n, and noise, over seeds.

``python benchmarks/claim.py --output FOLDER`` runs the preset ``claim`` once per seed (arms rl,
baseline, best_of_n and the A/A arm baseline_b, on the embedded evaluation tasks, whose skills and
wordings no step trains on) and prints one table. A seed that is finished is not run again and a
killed one continues, so the same command can be repeated until all are there.

The preset's settings must be chosen on other skills before the first seed is run; what comes out
is published as it is.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Prediction
from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm

PAIRS = (("rl", "baseline"), ("rl", "best_of_n"), ("best_of_n", "baseline"), ("rl", "start"))
AA = ("baseline", "baseline_b")


def run_seed(folder: Path, preset: str, seed: int, settings: list[str]) -> None:
    """Run one seed to its report, or find it there."""
    if (folder / "artifacts" / "report" / "result").exists():
        return
    command = [sys.executable, "-m", "refine_af", "run", "--preset", preset, "--seed", str(seed)]
    command += ["--output-dir", str(folder)]
    for one in settings:
        command += ["--set", one]
    subprocess.run(command, check=True)


def answers(folder: Path, arm: str, prefix: str, field: str) -> list[Prediction]:
    """Return an arm's answers with the seed in front of each task's or instance's name."""
    rows = read_rows(folder / "artifacts" / f"evaluate-{arm}" / "predictions", Prediction)
    return [row.model_copy(update={field: f"{prefix}/{getattr(row, field)}"}) for row in rows]


def refused(folder: Path, pair: tuple[str, str]) -> bool:
    """Tell whether the run's own report found the arms not comparable."""
    metrics = json.loads((folder / "artifacts" / "report" / "metrics").read_text(encoding="utf-8"))
    return f"{pair[0]}_vs_{pair[1]}_wins" not in metrics


def compared(
    folders: dict[int, Path], seeds: list[int], pair: tuple[str, str], unit: str = "task"
) -> Comparison:
    """Return the comparison over some seeds.

    With the unit ``task`` every task of every seed is won or lost by itself; with ``instance`` a
    task holds the answers of all seeds, so that tasks, which are what could have been others, are
    what the interval draws.
    """
    arms = []
    for arm in pair:
        rows = [row for seed in seeds for row in answers(folders[seed], arm, f"seed {seed}", unit)]
        arms.append(Arm(arm, rows))
    for seed in seeds:
        assert not refused(folders[seed], pair), f"seed {seed}: {pair} are not comparable"
    found = compare(*arms, seed=1)
    assert isinstance(found, Comparison), found
    return found


def line(name: str, found: Comparison) -> str:
    """Return one row of the table."""
    interval = found.intervals.win_share
    share = "-" if found.win_share is None else f"{100 * found.win_share:.1f} %"
    ends = (
        "-"
        if interval.low is None or interval.high is None
        else f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %"
    )
    return (
        f"| {found.first} against {found.second} | {name} | {found.wins} | {found.ties} |"
        f" {found.losses} | {share} | {ends} | {100 * found.mean_difference:+.2f} |"
        f" {found.p_two_sided:.4f} |"
    )


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--preset", default="claim")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    seeds = [int(one) for one in options.seeds.split(",")]
    folders = {seed: options.output.absolute() / f"seed-{seed}" for seed in seeds}
    for seed in seeds:
        run_seed(folders[seed], options.preset, seed, options.settings)
    lines = [
        "| pair | seeds | wins | ties | losses | win share of decided | 95 % interval |"
        " mean difference, points | p (sign test) |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for pair in (*PAIRS, AA):
        lines += [line(str(seed), compared(folders, [seed], pair)) for seed in seeds]
        lines.append(line("each task once a seed", compared(folders, seeds, pair)))
        lines.append(line("**mean over seeds**", compared(folders, seeds, pair, "instance")))
    text = "\n".join(lines) + "\n"
    (options.output / "claim.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
