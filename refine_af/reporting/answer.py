"""The answer: every paired comparison of the run, and its meaning in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass

from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm, Refusal
from refine_af.evaluation.summary import Summary, summarise
from refine_af.reporting.inputs import ArmInputs, ReportInputs

PAIRS = (
    ("rl", "baseline"),
    ("rl", "best_of_n"),
    ("best_of_n", "baseline"),
    ("rl", "start"),
    ("baseline", "start"),
)
AA_PAIR = ("baseline", "baseline_b")

FEWEST_DECIDED = 6
"""Below this even a result without a loss (or a win) has a two-sided p above 0.05 (2 * 0.5 ** 5),
and the bootstrap's interval over so few tasks is too narrow: of one task it has no width."""

TINY_ROUGE = 0.1
"""Below this mean ROUGE-L the best arm scores less than copying the input does (14.2 in the
Tk-Instruct README) and near GPT-3 without tuning (6.8, Self-Instruct, table 3)."""


@dataclass(frozen=True, slots=True)
class ArmNumbers:
    """The three numbers of an arm, and what they rest on; None where not measured."""

    name: str
    rouge_l: float | None
    exact_match: float | None
    reward: float | None
    instances: int
    rows: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The content of the first screen.

    Attributes:
        main: The comparison that the run is about, when both arms were evaluated.
        others: The further ones.
        aa: Two baselines that differ in their seed alone.
        arms: Numbers per arm.
        sentence: The answer in one sentence.
        notes: What to keep in mind about it.
        summaries: Scores per arm that was evaluated.
    """

    main: Comparison | Refusal | None
    others: tuple[Comparison | Refusal, ...]
    aa: Comparison | Refusal | None
    arms: tuple[ArmNumbers, ...]
    sentence: str
    notes: tuple[str, ...]
    summaries: Mapping[str, Summary]


def find_answer(inputs: ReportInputs) -> Answer:
    """Compare all pairs of arms that were evaluated."""
    summaries = {
        name: summarise(arm.predictions) for name, arm in inputs.arms.items() if arm.predictions
    }
    results = [_compare(inputs, *pair) for pair in PAIRS if set(pair) <= set(summaries)]
    main = results[0] if {"rl", "baseline"} <= set(summaries) else None
    aa = _compare(inputs, *AA_PAIR) if set(AA_PAIR) <= set(summaries) else None
    return Answer(
        main=main,
        others=tuple(results[1:] if main else results),
        aa=aa,
        arms=tuple(_numbers(name, arm, summaries) for name, arm in inputs.arms.items()),
        sentence=_sentence(main),
        notes=tuple(_notes(main, aa, summaries, inputs.arms)),
        summaries=summaries,
    )


def _compare(inputs: ReportInputs, first: str, second: str) -> Comparison | Refusal:
    names = {*inputs.arms[first].settings, *inputs.arms[second].settings}
    may_differ = []
    if "start" in (first, second):
        may_differ = [name for name in names if not name.startswith("evaluate.")]
    if (first, second) == AA_PAIR:
        may_differ = [name for name in names if name.endswith(("seed", "replicate"))]
    return compare(
        Arm(first, inputs.arms[first].predictions, inputs.arms[first].settings),
        Arm(second, inputs.arms[second].predictions, inputs.arms[second].settings),
        seed=inputs.seed,
        resamples=inputs.resamples,
        may_differ=may_differ,
    )


def _numbers(name: str, arm: ArmInputs, summaries: Mapping[str, Summary]) -> ArmNumbers:
    summary = summaries.get(name)
    totals = [row.total for row in arm.instances if row.total is not None]
    return ArmNumbers(
        name=name,
        rouge_l=summary.overall.rouge_l if summary else None,
        exact_match=summary.overall.exact_match if summary else None,
        reward=sum(totals) / len(totals) if totals else None,
        instances=summary.overall.count if summary else 0,
        rows=sum(not row["cut"] for row in arm.used),
    )


def _sentence(main: Comparison | Refusal | None) -> str:
    if main is None:
        return "This run has no comparison: the arms rl and baseline were not both evaluated."
    if isinstance(main, Refusal):
        return "No win share is given: the two arms differ in more than the arm (listed below)."
    total, decided = len(main.tasks), main.wins + main.losses
    if main.win_share is None:
        return f"No difference: rl and baseline score the same on all {total} tasks."
    return (
        f"rl scores higher than baseline on {main.wins} of {decided} decided tasks"
        f" ({percent(main.win_share)}{_interval(main)});"
        f" {main.ties} of {total} tasks are tied. {_verdict(main)}"
    )


def _interval(main: Comparison) -> str:
    low, high = main.intervals.win_share.low, main.intervals.win_share.high
    if low is None or high is None or main.wins + main.losses < FEWEST_DECIDED:
        return ""
    return f"; 95 % interval {100 * low:.1f} to {percent(high)}"


def _verdict(main: Comparison) -> str:
    low, high = main.intervals.win_share.low, main.intervals.win_share.high
    if low is not None and low > 0.5 and main.p_two_sided < 0.05:
        return "That is more than chance explains: RL helped on these tasks."
    if high is not None and high < 0.5 and main.p_two_sided < 0.05:
        return "That is less than chance explains: RL hurt on these tasks."
    return "Chance alone could explain it: this run does not show that RL helps or hurts."


def _notes(
    main: Comparison | Refusal | None,
    aa: Comparison | Refusal | None,
    summaries: Mapping[str, Summary],
    arms: Mapping[str, ArmInputs],
) -> list[str]:
    notes = []
    failed = {name: sum(bool(row.failed) for row in arm.predictions) for name, arm in arms.items()}
    if any(failed.values()):
        listed = ", ".join(f"{count} in {name}" for name, count in failed.items() if count)
        notes.append(f"Questions that the engine did not answer count as empty answers: {listed}.")
    if summaries and max(summary.overall.rouge_l for summary in summaries.values()) < TINY_ROUGE:
        notes.append(
            "Every arm scores below 10 points of ROUGE-L, less than copying the input does on the"
            " full SUPER-NI test set (14.2). At this level a won task is often one word more in"
            " common with the reference: read the share as a check that the pipeline works, not"
            " as evidence for or against the method."
        )
    if isinstance(main, Comparison) and 0 < main.wins + main.losses < FEWEST_DECIDED:
        notes.append(
            f"Fewer than {FEWEST_DECIDED} tasks are decided: no outcome could be told from chance,"
            " and the intervals below are narrower than they should be. Evaluate on more tasks or"
            " with more instances of each."
        )
    if isinstance(aa, Comparison) and aa.win_share is not None:
        notes.append(
            "Noise floor: two baselines that differ in their seed alone give a share of"
            f" {percent(aa.win_share)} ({aa.wins} wins, {aa.ties} ties, {aa.losses} losses)."
        )
    elif main is not None:
        notes.append(
            "There is no A/A comparison (a second baseline with another seed), so the noise of"
            " training itself is not measured here; the interval covers tasks and instances only."
        )
    return notes


def percent(share: float) -> str:
    """Return a share in [0, 1] as ``63.0 %``."""
    return f"{100 * share:.1f} %"
