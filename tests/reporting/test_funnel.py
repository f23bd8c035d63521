"""Ledgers: counted by hand, and what is said when they do not add up."""

from dataclasses import replace

from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.reporting.funnel import Step, Trained, build_funnel, find_gaps
from refine_af.reporting.inputs import ArmInputs, ReportInputs, Round


def instruction(text: str) -> Instruction:
    return Instruction.make(text, (), 0, 0, 0)


def rejected(stage: str, reason: str, text: str) -> Rejected:
    return Rejected.make(stage, reason, text)


KEPT = [instruction("Sort."), instruction("Name.")]
PAIR = Instance.make(KEPT[0].id, "Sort.", "b a", "a b", is_classification=False, sample=0)
RUN = ReportInputs(
    instructions=KEPT,
    rejected=[
        rejected("generate_instructions", "too_short", "Go"),
        rejected("generate_instructions", "too_short", "Do"),
        rejected("generate_instructions", "keyword", "Draw a map"),
        rejected("dedup_filter", "similar", "Sort"),
    ],
    rounds=[Round(4, 3, 5, 2), Round(1, 1, 1, 1)],
    arms={
        "rl": ArmInputs(
            instances=[PAIR],
            rejected=[
                rejected("generate_instances", "empty_output", "x"),
                rejected("score_rewards", "not_best", "y"),
            ],
            used=[
                {"source": "instance", "tokens": 12, "cut": False, "reason": ""},
                {"source": "seed", "tokens": 30, "cut": False, "reason": ""},
                {"source": "seed", "tokens": 999, "cut": True, "reason": "too_long"},
            ],
        )
    },
    ppo_episodes=[{"update": 1, "prompt_id": KEPT[0].id}, {"update": 2, "prompt_id": KEPT[0].id}],
)


def test_every_step_by_hand() -> None:
    funnel = build_funnel(RUN)
    found = [(step.into, dict(step.dropped), step.out) for step in funnel.steps]
    assert found == [
        (5, {"no_answer": 1}, 4),
        (6, {"too_short": 2, "keyword": 1}, 3),
        (3, {"similar": 1}, 2),
        (3, {"empty_output": 1}, 2),
        (2, {"not_best": 1}, 1),
        (1, {}, 1),
    ]
    assert funnel.problems == ()
    assert (funnel.ppo_prompts, funnel.ppo_episodes) == (1, 2)
    assert funnel.trained == (Trained("rl", instances=1, seeds=1, tokens=42),)


def test_a_lost_row_is_told() -> None:
    lost = replace(RUN, rejected=RUN.rejected[1:])
    assert build_funnel(lost).problems == (
        "Instructions through the filters: 6 instructions went in, but 2 dropped and 3 kept make 5",
    )


def test_rows_of_another_run_are_told() -> None:
    mixed = replace(RUN, instructions=KEPT[:1])
    assert build_funnel(mixed).problems == (
        "Instructions after near-duplicates: 2 instructions went in, but 3 came out of"
        " Instructions through the filters",
    )
    strangers = replace(RUN, ppo_episodes=[{"update": 1, "prompt_id": "ins-other"}])
    assert build_funnel(strangers).problems == (
        "PPO: 1 prompts are not among the 2 kept instructions",
    )


def test_steps_of_other_groups_or_units_need_not_follow() -> None:
    steps = [
        Step("a", "requests", 2, {}, 2, "x"),
        Step("b", "rows", 9, {}, 9, "x"),
        Step("c", "rows", 1, {}, 1, "y"),
    ]
    assert find_gaps(steps) == []


def test_without_rounds_the_rows_alone_are_counted() -> None:
    funnel = build_funnel(replace(RUN, rounds=()))
    assert (funnel.steps[0].into, funnel.steps[0].out) == (6, 3)
    assert funnel.problems == ()


def test_an_empty_run_has_an_empty_funnel() -> None:
    assert build_funnel(ReportInputs()).problems == ()
