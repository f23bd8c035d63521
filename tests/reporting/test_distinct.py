"""Counting by numbers and digests gives what sets of the things themselves give."""

import random
from array import array
from collections import Counter
from itertools import pairwise

from refine_af.contracts.randomness import sample
from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.reporting.distinct import Numbered, Repetitions, different, first_met
from refine_af.reporting.inputs import ReportInputs, Round
from refine_af.reporting.novelty import novelty
from refine_af.reporting.samples import DROPPED_PER_REASON, dropped_samples
from refine_af.reporting.style import WORD
from refine_af.reporting.verb_noun import verb_and_noun

WORDS = ["write", "list", "a", "the", "story", "poem", "of", "é", "two"]


def texts(draw: random.Random, count: int) -> list[str]:
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 6))) for _ in range(count)]


def test_repetitions_against_a_counter() -> None:
    some, counted = texts(random.Random(1), 500), Repetitions()
    assert list(counted.counts()) == []
    for text in some:
        counted.add(text)
    assert sorted(counted.counts()) == sorted(Counter(some).values())


def test_different_pairs_against_a_set() -> None:
    draw = random.Random(2)
    rows = [text.split() for text in texts(draw, 300)]
    numbered, codes = Numbered(), array("Q")
    for row in rows:
        codes.extend(numbered.pairs(row))
    assert different(codes) == len({pair for row in rows for pair in pairwise(row)})
    assert different(array("Q")) == 0


def test_first_met_against_sets() -> None:
    draw = random.Random(3)
    codes = [draw.randrange(60) << draw.choice([0, 32, 40]) for _ in range(400)]
    rounds = [draw.randint(-1, 9) for _ in codes]
    known = {code for code, when in zip(codes, rounds, strict=True) if when < 0}
    expected = []
    for number in range(10):
        here = {code for code, when in zip(codes, rounds, strict=True) if when == number}
        expected.append(len(here - known))
        known |= here
    assert first_met(array("Q", codes), array("i", rounds), 10).tolist() == expected
    assert first_met(array("Q"), array("i"), 2).tolist() == [0, 0]


def test_novelty_of_two_shards_against_sets() -> None:
    draw = random.Random(4)
    rows = [
        Instruction.make(text or "x", (), draw.randint(0, 11), 0, draw.randint(0, 1))
        for text in texts(draw, 120)
    ]
    seeds = [Seed.make("s", "", "Write a story of two", (), False, "MIT")]
    rounds = [Round(3, 3, 9, 9, shard) for shard in (0, 1) for _ in range(4)]
    pairs = {pair for seed in seeds for pair in pairwise(WORD.findall(seed.instruction.lower()))}
    tasks = {verb_and_noun(seed.instruction) for seed in seeds}
    expected = []
    for number in range(4):
        for shard in (0, 1):
            requests = range(3 * number, 3 * number + 3)
            here = [row for row in rows if row.shard == shard and row.request in requests]
            found = [pair for row in here for pair in pairwise(WORD.findall(row.instruction))]
            done = [task for row in here if (task := verb_and_noun(row.instruction))]
            new = len(set(found) - pairs) / len(found)
            expected.append((new, len(set(done) - tasks) / len(done) if done else 0.0))
            pairs |= set(found)
            tasks |= set(done)
    shown = novelty(rounds, rows, seeds)
    assert [(fresh.word_pairs, fresh.tasks) for fresh in shown] == expected
    assert [fresh.requests for fresh in shown] == list(range(3, 27, 3))


def test_dropped_rows_are_drawn_as_sample_draws_them() -> None:
    rows = [
        Rejected.make("dedup_filter", ("similar", "no_text")[number % 2], "x", key=str(number))
        for number in range(40)
    ]
    shown = [one.row for one in dropped_samples(ReportInputs(rejected=rows, seed=5))]
    expected = []
    for reason in ("no_text", "similar"):
        group = [row for row in rows if row.reason == reason]
        keys = ("", "dedup_filter", reason)
        expected += sample(group, DROPPED_PER_REASON, 5, "dropped", *keys)
    assert shown == expected
