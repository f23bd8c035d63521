"""Verbs and objects, similarity to seeds, copies: by hand and against rouge_score."""

import json
import os
from pathlib import Path

import pytest

from refine_af.contracts.records import Instance, Instruction, Pair, Seed
from refine_af.reporting.diversity import copies, nearest_seed, variety
from refine_af.reporting.verb_noun import verb_and_noun

DATA = os.environ.get("REFINE_AF_TEST_DATA")


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write a short story about a cat.", ("write", "story")),
        ("Please list the three largest cities in Peru", ("list", "city")),
        ("Can you give me an example of irony?", ("give", "example")),
        ("Given a sentence, identify its main verbs.", ("identify", "verb")),
        ("Your task is to classify the sentiment of a review", ("classify", "sentiment")),
        ("Find the earliest 60-minute slot between 9:00 and 17:00", ("find", "slot")),
        ("Write a letter cancelling a gym membership", ("write", "letter")),
        ("Correct this pupil kindly, in a comment.", ("correct", "pupil")),
        ("Replace the clichés with plain words", ("replace", "cliché")),
        ("Explain step by step how wax melts", None),
        ("Predict what one summer would change", None),
        ("Why does ice float?", None),
        ("", None),
        ("Write", None),
        ("<script>alert(1)</script>", None),
    ],
)
def test_verb_and_noun(instruction: str, expected: tuple[str, str] | None) -> None:
    assert verb_and_noun(instruction) == expected


@pytest.mark.skipif(DATA is None, reason="REFINE_AF_TEST_DATA names no folder with instructions")
def test_stated_precision_of_verb_and_noun() -> None:
    """A reader judged each found pair and corrected six; a dash has no direct object."""
    lines = (Path(__file__).parent / "verb_noun_labels.tsv").read_text(encoding="utf-8")
    labels = [line.split("\t") for line in lines.strip().split("\n")[1:]]
    path = Path(str(DATA)) / "self_instruct" / "user_oriented_instructions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    found = [verb_and_noun(row["instruction"]) for row in rows[:200]]
    assert [place for place, pair in enumerate(found) if pair] == [int(row[0]) for row in labels]
    right = sum(found[int(place)] == (verb, noun) for place, verb, noun in labels)
    assert (right, len(labels)) == (111, 117)


def instruction(text: str, place: int = 0) -> Instruction:
    return Instruction.make(text, (), 0, place, 0)


def seed(text: str) -> Seed:
    return Seed.make(text, "", text, (Pair(input="", output="x"),), False, "unknown")


def test_nearest_seed_equals_rouge_score() -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    seeds = ["Write a poem about rain", "Sort the numbers in rising order", "???"]
    texts = ["Sort these numbers in order", "Write about rain", "Nothing alike", "好", "Sort 3 1 2"]
    found = nearest_seed(
        [instruction(text, place) for place, text in enumerate(texts)], [seed(one) for one in seeds]
    )
    for text, score in zip(texts, found, strict=True):
        expected = max(scorer.score(one, text)["rougeL"].fmeasure for one in seeds)
        assert score == pytest.approx(expected, abs=1e-6)


def test_variety_counts() -> None:
    rows = [
        instruction(text, place)
        for place, text in enumerate(
            ["Write a poem.", "Write a song.", "Write a poem!", "List cats.", "Hm?"]
        )
    ]
    found = variety(rows, [])
    assert [(verb.verb, verb.count, verb.nouns) for verb in found.verbs] == [
        ("write", 3, (("poem", 2), ("song", 1))),
        ("list", 1, (("cat", 1),)),
    ]
    assert (found.covered, found.pairs, found.similarity) == (4, 3, ())
    assert found.words == (3, 3, 3, 2, 1)


def test_copies_by_hand() -> None:
    rows = [
        Instance.make("p", "Say it.", text, output, is_classification=False, sample=place)
        for place, (text, output) in enumerate(
            [("a b", "A  b"), ("", "say it."), ("x", "new"), ("y", "New")]
        )
    ]
    found = copies(rows)
    assert (found.rows, found.of_prompt, found.repeated, found.empty_input) == (4, 0.5, 0.5, 0.25)
    assert found.output_words == 1.5
    assert copies([]).rows == 0
