"""The funnel: counts of requests, completions, instructions and instances after each step.

Each step is a ledger: what went in is what was dropped, by reason, and what came out. A report
whose ledgers do not add up says so instead of hiding it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from refine_af.contracts.records import Rejected
from refine_af.reporting.inputs import ArmInputs, ReportInputs

REASONS = {
    "too_short": "fewer words than allowed",
    "too_long": "longer than allowed",
    "similar": "ROUGE-L over the limit with a row that was there first",
    "known": "ROUGE-L over the limit with a text that the model was trained on",
    "contaminated": "repeats an evaluation text",
    "no_text": "no text in the compared field",
    "over_limit": "beyond the asked number of rows",
    "unmatched": "another arm has no row of this instruction",
    "not_a_task": "less like a task than min_rating asks",
    "not_best": "another instance of the instruction, or instruction of the round, scored higher",
    "keyword": "asks for what a text model cannot do",
    "statement": "states something and asks for nothing",
    "truncated": "the model was cut off",
    "unparseable": "no input and output could be read from it",
}
"""Explanations of the reasons that are not self-explanatory."""


@dataclass(frozen=True, slots=True)
class Step:
    """One ledger.

    Attributes:
        title: What happens.
        unit: What is counted.
        into: How many went in.
        dropped: How many went out of the run, by reason.
        out: How many go on.
        group: Steps of one group follow each other; ``out`` of one is ``into`` of the next when
            the units are the same.
    """

    title: str
    unit: str
    into: int
    dropped: Mapping[str, int]
    out: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """What fine-tuning of one arm read: rows by source, and tokens of prompt and completion."""

    arm: str
    instances: int
    seeds: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """All ledgers and uses.

    Attributes:
        steps: The ledgers, in the order of the run.
        ppo_prompts: Different instructions that PPO used.
        ppo_episodes: Episodes of PPO.
        ppo_tokens: Tokens that the policy wrote in them.
        trained: Per arm that was fine-tuned.
        problems: What does not add up; empty when all does.
    """

    steps: tuple[Step, ...]
    ppo_prompts: int = 0
    ppo_episodes: int = 0
    ppo_tokens: int = 0
    trained: tuple[Trained, ...] = ()
    problems: tuple[str, ...] = ()


def build_funnel(inputs: ReportInputs) -> Funnel:
    """Return the funnel of a run, counted from its rows and compared with the rounds' counts."""
    steps = _instruction_steps(inputs)
    for name, arm in inputs.arms.items():
        steps += _arm_steps(name, arm)
    return Funnel(
        steps=tuple(steps),
        ppo_prompts=len({row["prompt_id"] for row in inputs.ppo_episodes}),
        ppo_episodes=len(inputs.ppo_episodes),
        ppo_tokens=sum(int(row.get("tokens", 0)) for row in inputs.ppo_episodes),
        trained=tuple(_trained(name, arm) for name, arm in inputs.arms.items() if arm.used),
        problems=(*find_gaps(steps), *_unknown_prompts(inputs)),
    )


def find_gaps(steps: Sequence[Step]) -> list[str]:
    """Return one sentence per ledger that does not balance or does not follow from the last."""
    gaps = []
    for step in steps:
        dropped = sum(step.dropped.values())
        if step.into != dropped + step.out:
            gaps.append(
                f"{step.title}: {step.into} {step.unit} went in, but {dropped} dropped and"
                f" {step.out} kept make {dropped + step.out}"
            )
    for before, after in pairwise(steps):
        same = before.group == after.group and before.unit == after.unit
        if same and before.out != after.into:
            gaps.append(
                f"{after.title}: {after.into} {after.unit} went in, but {before.out} came out of"
                f" {before.title}"
            )
    return gaps


def _instruction_steps(inputs: ReportInputs) -> list[Step]:
    reasons = _reasons(inputs.rejected)
    generated = reasons.get("generate_instructions", {})
    repeated = reasons.get("dedup_filter", {})
    kept = len(inputs.instructions)
    steps = []
    into = passed = kept + sum(repeated.values())
    parsed = passed + sum(generated.values())
    if inputs.rounds:
        requested = sum(batch.requested for batch in inputs.rounds)
        returned = sum(batch.returned for batch in inputs.rounds)
        parsed = sum(batch.parsed for batch in inputs.rounds)
        passed = sum(batch.kept for batch in inputs.rounds)
        lost = {"no_answer": requested - returned} if requested != returned else {}
        steps.append(Step("Requests answered", "requests", requested, lost, returned, "ins"))
    steps.append(
        Step("Instructions through the filters", "instructions", parsed, generated, passed, "ins")
    )
    steps.append(
        Step("Instructions after near-duplicates", "instructions", into, repeated, kept, "ins")
    )
    return steps


def _arm_steps(name: str, arm: ArmInputs) -> list[Step]:
    steps = []
    reasons = _reasons(arm.rejected)
    written = reasons.get("generate_instances", {})
    chosen = reasons.get("score_rewards", {})
    kept = len(arm.instances)
    if arm.instances or arm.rejected:
        scored = kept + sum(chosen.values())
        parsed = scored + sum(written.values())
        steps += [
            Step(f"{name}: instances parsed", "instances", parsed, written, scored, name),
            Step(f"{name}: instances chosen", "instances", scored, chosen, kept, name),
        ]
    if arm.used:
        rows = 0
        cut: Counter[str] = Counter()
        for row in arm.used:
            if row["source"] == "instance":
                rows += 1
                cut.update([str(row["reason"])] if row["cut"] else [])
        title = f"{name}: instances trained on"
        steps.append(Step(title, "instances", rows, _sorted(cut), rows - cut.total(), name))
    return steps


def _trained(name: str, arm: ArmInputs) -> Trained:
    rows = seeds = tokens = 0
    for row in arm.used:
        if not row["cut"]:
            rows += 1
            seeds += row["source"] == "seed"
            tokens += int(row["tokens"])
    return Trained(name, rows - seeds, seeds, tokens)


def _unknown_prompts(inputs: ReportInputs) -> list[str]:
    strangers = {row["prompt_id"] for row in inputs.ppo_episodes}
    if strangers:
        strangers.difference_update(row.id for row in inputs.instructions)
    if not strangers:
        return []
    kept = len(inputs.instructions)
    return [f"PPO: {len(strangers)} prompts are not among the {kept} kept instructions"]


def _reasons(rows: Iterable[Rejected]) -> dict[str, dict[str, int]]:
    """Return how many rows each stage dropped, by reason."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.stage, Counter())[row.reason] += 1
    return {stage: _sorted(reasons) for stage, reasons in counts.items()}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
