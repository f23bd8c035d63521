"""A made run of the second pipeline, small, with hostile text. Not timed."""

from typing import Any

from refine_af.contracts.records import Evolved, OperatorStep, Rejected
from refine_af.reporting.evolution_inputs import EvolutionArm, EvolutionInputs

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


def made_evolution() -> EvolutionInputs:
    """Return arms learned and uniform, a curve and a table."""
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
