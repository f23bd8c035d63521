from dataclasses import replace
from typing import Any

import pytest

from refine_af.contracts.records import Evolved, OperatorStep, Rejected
from refine_af.reporting.evolution import render
from refine_af.reporting.evolution_inputs import EvolutionArm, EvolutionInputs
from refine_af.reporting.evolution_numbers import arm_numbers, nearest_distance

NAMES = ("breadth", "add constraint", "deepen", "concretise", "more reasoning steps", "complicate")
EVIL = '<script>alert(1)</script> "quoted" & more'


def step(number: int, phase: str = "evolve", text: str = "") -> OperatorStep:
    action, kept = number % 6, number % 3 > 0
    return OperatorStep(
        id=f"step-{phase}-{number}", phase=phase, policy_seed=0, update=0, episode=number // 2,
        root=f"seed-{number // 6}", step=number % 2, before=f"Task {number // 6}", before_input="",
        last=6 if number % 2 == 0 else 1, words_ratio=1.0, similarity=0.0, action=action,
        operator=NAMES[action], log_prob=-1.8, text=text or f"Rewritten task number {number} now",
        status="kept" if kept else "rejected", reason="" if kept else "equal",
        labels=("Yes", "Yes"), changed=0.9 if kept else 0.1, reward=0.6,
        parts={"valid": 1.0, "changed": float(kept), "novelty": 0.4}, cluster=number // 6 % 2,
    )  # fmt: skip


def arm(kept: int) -> EvolutionArm:
    trace = [step(number) for number in range(24)]
    rows = [
        Evolved(
            id=f"evo-{row.id}", instruction=row.text, root=row.root, step=1, operator=row.operator
        )
        for row in trace
        if row.status == "kept"
    ][:kept]
    counts = {"evolve": {"calls": 24, "prompt_tokens": 240, "new_tokens": 120}}
    return EvolutionArm(
        trace=trace,
        kept=rows,
        duplicates=[Rejected.make("dedup_filter", "similar", EVIL)],
        ledger={"evolver": counts, "judge": {"evolve": counts["evolve"] | {"calls": 48}}},
        answering={"responder": {"respond": counts["evolve"]}},
        privacy={
            "members": 20, "held_out": 20,
            "attacks": {"loss": {"auc": 0.4, "low": 0.3, "high": 0.5, "tpr_at_1_percent": 0.0,
                                 "warning": "worse than a coin"}},
        },
    )  # fmt: skip


@pytest.fixture
def inputs() -> EvolutionInputs:
    table: dict[str, Any] = {
        "operators": list(NAMES), "mean": [0.1 * place for place in range(6)],
        "clusters": [{"cluster": 0, "seeds": 2, "mean": [0.5] * 6}],
        "sentence": "Nothing to learn.",
    }  # fmt: skip
    curve = [
        {"phase": phase, "policy_seed": seed, "update": update, "reward": 0.1 * update + seed,
         "entropy": 1.5}
        for phase in ("train", "held_out") for seed in (0, 1) for update in (0, 1)
    ]  # fmt: skip
    return EvolutionInputs(
        arms={"learned": arm(16), "uniform": arm(8), "start": EvolutionArm()},
        policy_trace=[step(number, "table", EVIL) for number in range(12)],
        curve=curve,
        table=table,
        policy_ledger={"judge": {"train": {"calls": 128, "prompt_tokens": 1, "new_tokens": 1}}},
        manifest={"model": "builtin:tiny"},
    )


def test_the_numbers_are_those_of_the_rows(inputs: EvolutionInputs) -> None:
    learned, uniform, start = arm_numbers(inputs)
    assert learned.tried == 24
    assert learned.accepted is not None
    assert learned.accepted.value == pytest.approx(16 / 24)
    assert learned.per_thousand is not None
    assert learned.per_thousand.value == pytest.approx(1000 * 16 / 72)
    assert learned.per_thousand_in_all == pytest.approx(1000 * 16 / (72 + 128))
    assert uniform.per_thousand is not None
    assert uniform.per_thousand.value == pytest.approx(1000 * 8 / 72)
    assert uniform.per_thousand_in_all == pytest.approx(1000 * 8 / 72)
    assert start.tried == 0
    assert start.per_thousand is None


def test_the_page_holds_every_part_escapes_model_text_and_repeats(inputs: EvolutionInputs) -> None:
    report = render(inputs)
    assert report == render(inputs)
    for part in (
        "A proof of the plumbing", "Operators over the steps: learned", "Which operator follows",
        "Operators by cluster of seeds", "Learning curve", "What the other operators would have",
        "Novelty over the steps", "Complexity over the steps", "Against Evol-Instruct",
        "worse than a coin", "Nothing to learn.", "dedup_filter: similar", "One step of every",
    ):  # fmt: skip
        assert part in report.html, part
    assert "<script>alert" not in report.html
    assert "&lt;script&gt;alert" in report.html
    assert "http" not in report.html.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "A learned choice of operations gives 222" in report.answer
    assert "training counted the learned one gives 80" in report.answer.replace("its own ", "")


def test_an_audit_of_too_few_rows_is_shown_as_none(inputs: EvolutionInputs) -> None:
    few = {"members": 24, "held_out": 5, "attacks": {}}
    arms = dict(inputs.arms) | {"uniform": replace(inputs.arms["uniform"], privacy=few)}
    report = render(replace(inputs, arms=arms))
    for page in (report.html, report.markdown):
        assert "fewer than 10 rows on a side" in page
    assert "24 / 5" in report.html
    assert "fewer than 10 rows" not in render(inputs).html


def test_distance_to_the_nearest_other() -> None:
    assert nearest_distance(["a red bird sings", "a red bird sings"]) == pytest.approx(
        [0, 0], abs=1e-5
    )
    assert min(nearest_distance(["count the rivers", "paint a wooden door"])) > 0.7


def test_an_empty_run_still_has_a_page() -> None:
    report = render(EvolutionInputs(arms={"start": EvolutionArm()}))
    assert "has no comparison" in report.answer
