import gzip
import json
import os
from pathlib import Path

import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.dedup.contamination import FEWEST_TOKENS, RUN, ContaminationGate, Leak
from refine_af.dedup.rouge_l import rouge_tokens

DATA = os.environ.get("REFINE_AF_TEST_DATA")
EVALUATION = [
    ("definition", "Given a review of a hotel, decide whether its writer would come back."),
    ("input", "The lift was out of order for three days and nobody at the desk seemed to mind it"),
]


def test_rewording_of_a_whole_text_is_found_by_rouge_l() -> None:
    leak = ContaminationGate(EVALUATION).leak(
        "Given the review of a hotel, decide whether the writer would come back"
    )
    assert leak is not None
    assert (leak.id, leak.rule) == ("definition", "rouge_l")
    assert leak.score == pytest.approx(2 * 11 / 26)


def test_passage_inside_a_longer_text_is_found_by_its_run() -> None:
    passage = "OUT of order for three days, and nobody"
    leak = ContaminationGate(EVALUATION).leak(f"{'word ' * 60} {passage} {'other ' * 60}")
    assert leak is not None
    assert (leak.id, leak.rule, leak.score) == ("input", "run", 8.0)
    assert leak.run == "out of order for three days and nobody"


def test_seven_tokens_in_a_row_and_ordinary_text_pass() -> None:
    gate = ContaminationGate(EVALUATION)
    seven = "out of order for three days and"
    assert gate.leaks([f"x {seven} y", "Write a poem about a lift.", ""]) == [None] * 3


def test_a_run_that_many_evaluation_texts_share_says_nothing() -> None:
    frame = "answer the following question with yes or no"
    texts = [(f"e{number}", f"{frame} is {number} {number} {number}") for number in range(4)]
    asked = f"{frame} about the weather of the coming week in the mountains and by the sea"
    assert ContaminationGate(texts, rare=3).leak(asked) is None
    found = ContaminationGate(texts, rare=4).leak(asked)
    assert found is not None
    assert found.id == "e0"


def test_characters_find_a_leak_in_a_script_without_spaces() -> None:
    rows = [("e", "東京タワーの高さは何メートルですか")]
    assert ContaminationGate(rows).leak("東京タワーの高さは何メートルですか") is None
    assert (
        ContaminationGate(rows, tokens="characters").leak("東京タワーの高さは何メートル")
        is not None
    )


def test_texts_that_are_met_by_chance_are_not_looked_for() -> None:
    gate = ContaminationGate([("short", "the old river"), ("long", "the old river bank")])
    assert gate.leaks(["river", "the old river"]) == [
        None,
        Leak("long", "rouge_l", 6 / 7, text="the old river bank"),
    ]


def test_rarity_below_one_is_refused() -> None:
    with pytest.raises(ParameterError, match="rare is 0"):
        ContaminationGate(EVALUATION, rare=0)


@pytest.mark.skipif(not DATA, reason="REFINE_AF_TEST_DATA is not set")
def test_planted_leaks_of_real_tasks_are_all_found() -> None:
    path = Path(str(DATA)) / "super_ni" / "test_tasks_60x25.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
    texts = dict.fromkeys([text for row in rows for text in (row["definition"], row["input"])])
    gate = ContaminationGate([(f"e{number}", text) for number, text in enumerate(texts)])
    looked_for = [text for text in texts if len(rouge_tokens(text)) >= FEWEST_TOKENS]
    assert len(looked_for) == 1_410
    assert None not in gate.leaks(looked_for)
    cased = [text.upper().replace(" ", "  ") + "!!" for text in looked_for]
    assert None not in gate.leaks(cased)
    long = [text for text in looked_for if len(rouge_tokens(text)) >= RUN]
    hidden = [f"{'filler ' * 300}{text}{' filler' * 300}" for text in long]
    assert None not in gate.leaks(hidden)
