"""Instructions rated by the model's likelihoods: numbers by hand, the filter, resuming."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from refine_af.contracts.jsonl import read_rows
from refine_af.contracts.records import Instruction, Pair, Rejected, Seed
from refine_af.engines.models import load_model
from refine_af.runner import run_stage
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams
from refine_af.self_instruct.task_rating import (
    kept_ratings,
    open_rating,
    refusals,
    shown_tasks,
)
from refine_af.storage.journal import MemoryJournal

RATED = BootstrapParams(task_rating="pmi", min_rating=0.5)
LIST = "1. Sort the fruit by name.\n2. The cat is on the mat.\n3. Name a river in Spain.\n"


def seed(instruction: str) -> Seed:
    return Seed.make(instruction, "", instruction, (Pair(output="x"),), False, "MIT")


def test_those_below_the_bound_and_those_beyond_the_share_are_dropped() -> None:
    # 0.2 is below 0.5; of the other three the share of a half, rounded up, is two: 0.9 and the
    # first of the equals 0.6
    assert refusals([0.6, 0.2, 0.9, 0.6], least=0.5, share=0.5) == {
        1: ("not_a_task", "rating 0.200, at least 0.5"),
        3: ("not_best", "rating 0.600, not among the best 2"),
    }
    assert refusals([0.6, 0.2], least=0.0, share=1.0) == {}
    # 0.1 * 30 is a little more than 3 in floating point, and still three stay
    assert len(refusals([float(n) for n in range(30)], least=0.0, share=0.1)) == 27


def test_the_decider_drops_by_rating_before_the_pool() -> None:
    def rate(texts: Sequence[str]) -> list[float]:
        return [0.1 if text.startswith("The") else 0.7 for text in texts]

    decider = Decider([], RATED, rate=rate)
    first = decider.decide([Answer(0, (), LIST, "stop")])
    kept = [row.instruction for row in first if isinstance(row, Instruction)]
    assert kept == ["Sort the fruit by name.", "Name a river in Spain."]
    (dropped,) = [row for row in first if isinstance(row, Rejected)]
    assert (dropped.reason, dropped.score) == ("not_a_task", 0.1)
    # what was dropped is not in the pool: again it is no task, and no repeat
    (again,) = decider.decide([Answer(1, (), "1. The cat is on the mat.", "stop")])
    assert isinstance(again, Rejected)
    assert again.reason == "not_a_task"
    # what was kept is
    (repeat,) = decider.decide([Answer(2, (), "1. Name a river in Spain.", "stop")])
    assert isinstance(repeat, Rejected)
    assert repeat.reason == "similar"


def test_pieces_that_break_a_rule_are_not_rated() -> None:
    asked: list[str] = []

    def rate(texts: Sequence[str]) -> list[float]:
        asked.extend(texts)
        return [1.0] * len(texts)

    Decider([], RATED, rate=rate).decide([Answer(0, (), LIST + "4. Draw a map of it.", "stop")])
    assert asked == ["Sort the fruit by name.", "The cat is on the mat.", "Name a river in Spain."]


def test_a_rating_is_the_gain_in_mean_log_probability() -> None:
    """Token by token without batches or padding, against what the filter uses."""
    seeds = [seed(f"Name {count} rivers in Spain.") for count in range(2, 12)]
    params = BootstrapParams(model="builtin:tiny", task_rating="pmi")
    rate = open_rating(params, seeds, MemoryJournal())
    assert rate is not None
    texts = ["Sort the words.", "Give the longest of the words in the list."]
    model, tokenizer = load_model("builtin:tiny")
    begin = tokenizer.bos_token_id
    begin = tokenizer.eos_token_id if begin is None else begin
    shown = tokenizer(shown_tasks(seeds, params.seed) + "\n", add_special_tokens=False)["input_ids"]

    def mean(head: list[int], ids: list[int]) -> float:
        total = 0.0
        for count, token in enumerate(ids):
            with torch.no_grad():
                logits = model(torch.tensor([[begin, *head, *ids[:count]]])).logits[0, -1]
            total += float(logits.log_softmax(-1)[token])
        return total / len(ids)

    for text, rating in zip(texts, rate(texts), strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert rating == pytest.approx(mean(shown, ids) - mean([], ids), abs=1e-4)


def test_short_seeds_are_shown_one_a_line() -> None:
    seeds = [seed("Name a river\nin Spain."), seed("word " * 40)]
    assert shown_tasks(seeds, 1) == "Tasks for an assistant, one a line:\nName a river in Spain."


def test_rounds_that_were_rated_are_not_rated_again() -> None:
    calls = []

    def rate(texts: Sequence[str]) -> list[float]:
        calls.append(list(texts))
        return [float(len(text)) for text in texts]

    journal = MemoryJournal()
    first = kept_ratings(rate, journal)
    assert [first(["a", "bb"]), first(["ccc"])] == [[1.0, 2.0], [3.0]]
    second = kept_ratings(rate, journal)
    assert second(["a", "bb"]) == [1.0, 2.0]
    assert len(calls) == 2
    assert second(["other"]) == [5.0]  # another text than was rated here
    assert len(calls) == 3


def test_the_stage_keeps_the_best_half_of_a_round(tmp_path: Path) -> None:
    outputs = ("instructions", "rejected", "rounds", "calls")
    run_stage("seed_ingest", inputs={}, outputs={"seeds": str(tmp_path / "seeds")}, params={})

    def run(name: str, **values: object) -> tuple[list[Instruction], list[Rejected]]:
        run_stage(
            "generate_instructions",
            inputs={"seeds": str(tmp_path / "seeds")},
            outputs={one: str(tmp_path / name / one) for one in outputs},
            params={"target": 12, "round_size": 4, "max_requests": 4, "max_tokens": 96, **values},
        )
        folder = tmp_path / name
        return (
            read_rows(folder / "instructions", Instruction),
            read_rows(folder / "rejected", Rejected),
        )

    everything, dropped = run("all")
    best, others = run("best", task_rating="pmi", min_rating=-100.0, best_share=0.5)
    not_best = [row for row in others if row.reason == "not_best"]
    assert not any(row.reason == "not_best" for row in dropped)
    assert not_best
    assert len(best) < len(everything)
    assert all(row.score is not None for row in not_best)
