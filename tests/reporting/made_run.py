"""A made run of any size, with hostile text where a row could hurt the page. Seeded, not timed."""

import random
from typing import Any

from refine_af.contracts.records import Instance, Instruction, Pair, Prediction, Rejected, Seed
from refine_af.reporting.inputs import ArmInputs, ReportInputs, Round, SizePoint

HOSTILE = (
    "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
    '"><svg onload="window.hurt = 3"> {{ 7 * 7 }} {% raw %} ]]> &amp; \u202eright to left '
    + "unbroken"
    * 60
)
VERBS = ("Write", "List", "Sort", "Explain", "Name", "Rewrite", "Count", "Translate")
NOUNS = ("story", "numbers", "words", "sentence", "cities", "paragraph", "letters", "answer")
CATEGORIES = ("Textual Entailment", "Title Generation", "Data to Text", "Word Analogy")
SENTENCE = "about the old house near a quiet river with seven green doors and no window"
FILLER = SENTENCE.split()


def instruction_text(draw: random.Random) -> str:
    words = draw.choices(FILLER, k=draw.randint(2, 16))
    return f"{draw.choice(VERBS)} the {draw.choice(NOUNS)} {' '.join(words)}."


def made_seeds(draw: random.Random, count: int) -> list[Seed]:
    pair = (Pair(input="", output="An answer."),)
    return [
        Seed.make(f"s{n}", "made", f"{instruction_text(draw)} {n}", pair, False, "Apache-2.0")
        for n in range(count)
    ]


def made_instances(
    draw: random.Random, instructions: list[Instruction], hostile: bool
) -> list[Instance]:
    rows = []
    for row in instructions:
        output = " ".join(draw.choices(FILLER, k=draw.randint(1, 30)))
        made = Instance.make(
            row.id,
            row.instruction,
            draw.choice(["", "3 1 2"]),
            HOSTILE if hostile else output,
            is_classification=False,
            sample=0,
        )
        parts = {"naturalness": draw.random(), "coherence": draw.random()}
        rows.append(made.model_copy(update={"total": sum(parts.values()) / 2, "parts": parts}))
    return rows


def made_predictions(
    draw: random.Random, tasks: int, instances: int, skill: float, hostile: bool
) -> list[Prediction]:
    rows = []
    for task in range(tasks):
        level = skill + 0.1 * draw.random()
        for place in range(instances):
            score = min(1.0, max(0.0, draw.gauss(level, 0.25)))
            name = HOSTILE if hostile and task == 0 else f"task{task:03}_made_task"
            rows.append(
                Prediction(
                    id=f"p-{task}-{place}-{skill}",
                    task=name,
                    category=CATEGORIES[task % len(CATEGORIES)],
                    instance=f"{task}-{place}",
                    prediction="made",
                    references=("made",),
                    rouge_l=score,
                    exact_match=float(score > 0.9),
                )
            )
    return rows


def made_episodes(draw: random.Random, ids: list[str], updates: int) -> list[dict[str, Any]]:
    return [
        {
            "update": update,
            "prompt_id": draw.choice(ids),
            "action": HOSTILE if place == 0 else f"Output: made {update}",
            "total": draw.random(),
            "parseable": place != 1,
        }
        for update in range(1, updates + 1)
        for place in range(4)
    ]


def made_updates(draw: random.Random, updates: int) -> list[dict[str, float]]:
    return [
        {
            "update": float(number),
            "reward_mean": 0.2 + 0.4 * number / updates + draw.gauss(0, 0.02),
            "reward_sd": 0.1,
            "part_naturalness_mean": 0.5 + 0.2 * number / updates,
            "part_coherence_mean": 0.6 - 0.1 * number / updates,
            "kl": 4.0 * number / updates,
            "entropy": 2.0 - number / updates,
            "length": 30 + draw.gauss(0, 2),
            "parseable": min(1.0, 0.7 + 0.3 * number / updates),
            "distinct_2": 0.6,
        }
        for number in range(1, updates + 1)
    ]


def made_run(
    rows: int = 60, tasks: int = 24, instances: int = 10, hostile: bool = False
) -> ReportInputs:
    """Return a run with ``rows`` kept instructions and as many instances in two arms."""
    draw = random.Random(3)
    seeds = made_seeds(draw, 20)
    instructions = [
        Instruction.make(
            HOSTILE if hostile and n == 0 else f"{instruction_text(draw)} {n}", (), n // 5, n % 5, 0
        )
        for n in range(rows)
    ]
    rejected = [
        Rejected.make(
            "dedup_filter",
            "similar",
            HOSTILE if hostile and n == 0 else f"Sort the numbers {n}.",
            key=str(n),
            neighbour=instructions[n].id,
            score=0.75,
        )
        for n in range(rows // 3)
    ] + [
        Rejected.make("generate_instructions", reason, f"Row {n}", key=f"g{n}", detail=HOSTILE)
        for n, reason in enumerate(["too_short", "keyword"] * (rows // 8))
    ]
    passed = rows + rows // 3
    parsed = passed + 2 * (rows // 8)
    rounds = [Round(40, 39, parsed - 10, passed - 8), Round(10, 10, 10, 8)]
    arms = {}
    for name, skill in (("rl", 0.34), ("baseline", 0.3), ("baseline_b", 0.3), ("start", 0.2)):
        tuned = name != "start"
        arms[name] = ArmInputs(
            instances=made_instances(draw, instructions, hostile) if tuned else (),
            rejected=[Rejected.make("generate_instances", "empty_output", "x")] if tuned else (),
            used=[
                {"source": "instance", "tokens": 40, "cut": n == 0, "reason": "too_long" * (n == 0)}
                for n in range(rows)
            ]
            if tuned
            else (),
            sft_history=[{"step": n, "loss": 3 - n / 20} for n in range(1, 21)] if tuned else (),
            predictions=made_predictions(draw, tasks, instances, skill, hostile),
            settings={"evaluate.max_tokens": 128}
            | ({"sft.rows": rows, "sft.seed": 2 if name == "baseline_b" else 1} if tuned else {}),
        )
    return ReportInputs(
        arms=arms,
        seeds=seeds,
        instructions=instructions,
        rejected=rejected,
        rounds=rounds,
        ppo_updates=made_updates(draw, 40),
        ppo_episodes=made_episodes(draw, [row.id for row in instructions], 40),
        ppo_alarms=[HOSTILE] if hostile else [],
        sizes=[
            SizePoint(arm, size, made_predictions(draw, tasks, instances, skill, hostile))
            for size, skill in ((rows // 4, 0.24), (rows // 2, 0.28))
            for arm in ("rl", "baseline")
        ],
        manifest={"model": HOSTILE if hostile else "made", "digests": {"seeds": "ab" * 32}},
        resamples=200,
    )
