"""The report of an evolution run: what a learned policy adds over a random choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af import __version__
from refine_af.contracts.groups import grouped
from refine_af.contracts.randomness import sample
from refine_af.contracts.records import OperatorStep
from refine_af.evaluation.compare import Comparison, compare
from refine_af.evaluation.fairness import Arm, Refusal
from refine_af.evaluation.membership import LEAST_ROWS
from refine_af.evolve.ledger import ASSUMPTIONS, against_evol_instruct, merged
from refine_af.evolve.rules import REASONS
from refine_af.reporting import evolution_charts as charts
from refine_af.reporting.answer import percent
from refine_af.reporting.charts import Chart
from refine_af.reporting.contents import flat, is_embedded, run_facts
from refine_af.reporting.evolution_inputs import EvolutionInputs
from refine_af.reporting.evolution_numbers import ArmNumbers, Measured, arm_numbers, total_calls
from refine_af.reporting.inputs import Report
from refine_af.reporting.report import environment, page_parts
from refine_af.reporting.side_by_side import side_by_side

COUNTERFACTUALS = 4
SAMPLES = 4
PAIRS = (
    ("learned", "uniform"),
    ("learned", "released_mix"),
    ("learned", "no_evolution"),
    ("uniform", "no_evolution"),
    ("learned", "start"),
    ("uniform", "start"),
)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one arm or of the training, and their share of Evol-Instruct's."""

    name: str
    roles: Mapping[str, Mapping[str, Mapping[str, int]]]
    calls: int
    shares: Mapping[str, float]


def render(inputs: EvolutionInputs) -> Report:
    """Return the report; the same inputs give the same bytes."""
    numbers = arm_numbers(inputs)
    comparisons = _comparisons(inputs)
    sentence = answer(numbers)
    values: dict[str, Any] = {
        "inputs": inputs,
        "numbers": numbers,
        "comparisons": comparisons,
        "sentence": sentence,
        "tiny": is_embedded(inputs.manifest),
        "run": run_facts(inputs.manifest),
        "side_by_side": side_by_side({k: arm.predictions for k, arm in inputs.arms.items()}),
        "mix_charts": _mix_charts(inputs),
        "learning_charts": [*charts.one_step(inputs.table), *charts.learning(inputs.curve)],
        "step_charts": charts.over_steps(inputs.arms),
        "counterfactuals": counterfactuals(inputs.policy_trace, inputs.seed),
        "samples": _samples(inputs),
        "calls": _calls(inputs),
        "assumptions": ASSUMPTIONS,
        "reasons": REASONS,
        "dropped": _dropped(inputs),
        "facts": flat(inputs.manifest),
        "interval": shown_interval,
        "least_rows": LEAST_ROWS,
        "version": __version__,
        "parts": grouped(inputs.tasks),
        **page_parts(),
    }
    return Report(
        html=environment("html").get_template("evolution.html.j2").render(values),
        markdown=environment("md").get_template("evolution.md.j2").render(values),
        metrics=_metrics(numbers, comparisons),
        answer=sentence,
    )


def answer(numbers: Sequence[ArmNumbers]) -> str:
    """Return in one sentence what the learned policy adds over a uniform choice."""
    by_arm = {arm.name: arm for arm in numbers}
    learned, other = by_arm.get("learned"), by_arm.get("uniform")
    if not learned or not other or not learned.per_thousand or not other.per_thousand:
        return "This run has no comparison: the arms learned and uniform did not both evolve."
    ours, theirs = learned.per_thousand, other.per_thousand
    apart = ours.low > theirs.high or theirs.low > ours.high
    verdict = (
        "the intervals do not meet"
        if apart
        else "the intervals overlap, so this run does not show a difference"
    )
    in_all = learned.per_thousand_in_all or 0.0
    return (
        f"A learned choice of operations gives {ours.value:.0f} distinct valid instructions per"
        f" 1,000 calls ({ours.low:.0f} to {ours.high:.0f}), a uniform choice {theirs.value:.0f}"
        f" ({theirs.low:.0f} to {theirs.high:.0f}): {verdict}. With the calls of its own training"
        f" counted the learned one gives {in_all:.0f}."
    )


def counterfactuals(trace: Sequence[OperatorStep], seed: int) -> list[list[OperatorStep]]:
    """Return, for a few seeds, what every operator made of them (the one-step table's rows)."""
    groups: dict[str, list[OperatorStep]] = {}
    for row in trace:
        if row.phase == "table":
            groups.setdefault(row.root, []).append(row)
    chosen = sample(sorted(groups), COUNTERFACTUALS, seed, "counterfactuals")
    return [sorted(groups[root], key=lambda row: row.action) for root in chosen]


def _comparisons(inputs: EvolutionInputs) -> list[Comparison | Refusal]:
    arms = {
        name: Arm(name, arm.predictions, arm.settings)
        for name, arm in inputs.arms.items()
        if arm.predictions
    }
    comparisons = []
    for first, second in PAIRS:
        if first not in arms or second not in arms:
            continue
        names = {*arms[first].settings, *arms[second].settings}
        may_differ = [name for name in names if not name.startswith("evaluate.")]
        comparisons.append(
            compare(
                arms[first],
                arms[second],
                seed=inputs.seed,
                resamples=inputs.resamples,
                may_differ=may_differ if second == "start" else (),
            )
        )
    return comparisons


def _mix_charts(inputs: EvolutionInputs) -> list[Chart]:
    operators = charts.operator_names(inputs.arms, inputs.table)
    return [
        chart
        for name, arm in inputs.arms.items()
        for chart in charts.mixes(name, arm.trace, operators)
    ]


def _samples(inputs: EvolutionInputs) -> dict[str, list[OperatorStep]]:
    return {
        name: sample(arm.trace, SAMPLES, inputs.seed, "samples", name)
        for name, arm in inputs.arms.items()
        if arm.trace
    }


def _calls(inputs: EvolutionInputs) -> list[Calls]:
    rows = []
    if inputs.policy_ledger:
        rows.append(
            Calls(
                "training of the policy",
                inputs.policy_ledger,
                total_calls([inputs.policy_ledger]),
                {},
            )
        )
    for name, arm in inputs.arms.items():
        ledgers = [ledger for ledger in (arm.ledger, arm.answering) if ledger]
        if not ledgers:
            continue
        training = [inputs.policy_ledger] if name == "learned" else []
        steps = max((row.step for row in arm.trace), default=-1) + 1
        seeds = len({row.root for row in arm.trace})
        calls = total_calls([*ledgers, *training])
        shares = against_evol_instruct(calls, len(arm.kept), seeds, steps)
        rows.append(Calls(name, merged(ledgers), calls, shares))
    return rows


def _dropped(inputs: EvolutionInputs) -> dict[str, dict[str, int]]:
    reasons: dict[str, dict[str, int]] = {}
    for name, arm in inputs.arms.items():
        counts: dict[str, int] = {}
        for reason in (
            *(row.reason for row in arm.trace if row.reason),
            *(f"{row.stage}: {row.reason}" for row in (*arm.duplicates, *arm.unanswered)),
        ):
            counts[reason] = counts.get(reason, 0) + 1
        if counts:
            reasons[name] = dict(sorted(counts.items()))
    return reasons


def _metrics(
    numbers: Sequence[ArmNumbers], comparisons: Sequence[Comparison | Refusal]
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for arm in numbers:
        values = {
            "kept": float(arm.kept),
            "per_thousand_calls": arm.per_thousand.value if arm.per_thousand else None,
            "reviewer_acceptance": 100 * arm.reviewed.value if arm.reviewed else None,
            "diversity": arm.diversity.value if arm.diversity else None,
            "reward": arm.reward,
            "rouge_l": None if arm.rouge_l is None else 100 * arm.rouge_l,
        }
        metrics |= {
            f"{arm.name}_{key}": value for key, value in values.items() if value is not None
        }
    for result in comparisons:
        if isinstance(result, Comparison):
            name = f"{result.first}_vs_{result.second}"
            metrics |= {f"{name}_wins": float(result.wins), f"{name}_losses": float(result.losses)}
    return metrics


def shown_interval(value: Measured | None, unit: str = "") -> str:
    """Return ``value (low to high)``; a dash for what was not measured."""
    if value is None:
        return "-"
    if unit == "percent":
        return f"{percent(value.value)} ({percent(value.low)} to {percent(value.high)})"
    return f"{value.value:.3g} ({value.low:.3g} to {value.high:.3g})"
