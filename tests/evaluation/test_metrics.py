"""Official scores: hand-computed, against rouge_score row by row, and against the golden files."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.contracts.records import Prediction
from refine_af.dedup.rouge_l import rouge_tokens
from refine_af.evaluation import metrics, stemmed_lcs
from refine_af.evaluation.metrics import (
    AnswerScorer,
    Tokenizer,
    cross_lingual,
    exact_match,
    normalise_answer,
    rouge_l,
)
from refine_af.evaluation.stemmed_lcs import token
from refine_af.evaluation.summary import official, summarise

DATA = os.environ.get("REFINE_AF_TEST_DATA")
needs_data = pytest.mark.skipif(
    DATA is None, reason="REFINE_AF_TEST_DATA names no folder with the golden files"
)


def best_scores(
    prediction: str, references: list[str], tokenizer: Tokenizer | None = None
) -> tuple[float, float]:
    return AnswerScorer(tokenizer).score(prediction, references)


SHARED = AnswerScorer()
"""Scores all examples of a property, so that what it remembers is part of what is tested."""

SENTENCES = st.lists(
    st.sampled_from(
        [
            "the",
            "running",
            "runs",
            "Dogs",
            "dog",
            "news",
            "New-York",
            "a.b",
            "naïve",
            "42",
            "\n",
            ",",
        ]
    ),
    max_size=12,
).map(" ".join)


def rows_of(name: str) -> list[dict[str, Any]]:
    with gzip.open(Path(str(DATA)) / "golden" / name, "rt", encoding="utf-8") as source:
        return [json.loads(line) for line in source.read().split("\n") if line]


def test_rouge_l_by_hand() -> None:
    # LCS("the cat sat", "the dog sat down") = the, sat: precision 2/3, recall 2/4, F = 4/7.
    assert rouge_l(["the", "cat", "sat"], ["the", "dog", "sat", "down"]) == pytest.approx(4 / 7)


def test_rouge_l_of_nothing_is_zero_even_against_nothing() -> None:
    assert rouge_l([], []) == 0.0
    assert best_scores("...", ["???"]) == (0.0, 1.0)


def english_tokens(text: str) -> list[str]:
    """The stemmed words of a text, the slow way: without anything remembered."""
    return [token(word) for word in rouge_tokens(text)]


def test_words_over_three_letters_are_stemmed() -> None:
    assert english_tokens("Dogs were running; it is U.S. news") == [
        *("dog", "were", "run", "it", "is", "u", "s", "news")
    ]


def test_normalisation_keeps_articles_and_other_scripts_marks() -> None:
    assert normalise_answer("  The cat's\tHAT! ") == "the cats hat"
    assert exact_match("Yes.", "yes") == 1.0
    assert exact_match("好。", "好") == 0.0


def test_each_metric_takes_its_own_best_reference() -> None:
    rouge, exact = best_scores("the cat", ["a dog", "The cat!", "the cat sat"])
    assert (rouge, exact) == (1.0, 1.0)
    assert best_scores("the cat", ["the cat sat", "no"]) == pytest.approx((0.8, 0.0))


def test_cross_lingual_tokens_lose_their_space_marks() -> None:
    tokens = cross_lingual(lambda text: text.replace(" ", " \u0120").split(" "))
    assert tokens("una casa") == ["una", "casa"]
    assert best_scores("北 京", ["北 京"], tokens)[0] == 1.0
    assert best_scores("北京", ["北京"])[0] == 0.0


@settings(max_examples=300, deadline=None)
@given(SENTENCES, SENTENCES)
def test_same_float_as_rouge_score(prediction: str, reference: str) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(
        ["rougeL"], use_stemmer=True
    )
    expected = scorer.score(target=reference, prediction=prediction)["rougeL"].fmeasure
    assert rouge_l(english_tokens(prediction), english_tokens(reference)) == expected
    assert SHARED.rouge_l(prediction, [reference]) == expected
    assert AnswerScorer().rouge_l(prediction, [reference]) == expected


def test_words_that_meet_only_as_stems() -> None:
    # As words LCS("cat x", "cats x cat") is 1, as stems 2: precision 2/2, recall 2/3, F = 4/5.
    assert SHARED.rouge_l("cat x", ["cats x cat"]) == 0.8
    assert SHARED.rouge_l("using x", ["used y"]) == SHARED.rouge_l("trying x", ["tried y"]) == 0.5
    assert SHARED.rouge_l("using x", ["use y"]) == SHARED.rouge_l("dies x", ["die y"]) == 0.5
    assert SHARED.rouge_l("lying down", ["lie there"]) == SHARED.rouge_l("oings o", ["o e"]) == 0.5


def test_forgetting_words_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stemmed_lcs, "MOST_WORDS", 3)
    monkeypatch.setattr(metrics, "MOST_CHARACTERS", 20)
    scorer = AnswerScorer()
    texts = ["the dogs ran", "a dog runs", "ran the dogs", "one two three four", "four two one"]
    for prediction in texts:
        for reference in texts:
            expected = rouge_l(english_tokens(prediction), english_tokens(reference))
            assert scorer.rouge_l(prediction, [reference]) == expected


@needs_data
def test_golden_rows_and_aggregate() -> None:
    rows = rows_of("superni_eval_500.jsonl.gz")
    scored = []
    for row in rows:
        rouge, exact = best_scores(row["prediction"], row["references"])
        assert rouge == pytest.approx(row["rougeL"], abs=1e-9)
        assert exact == row["exact_match"]
        scored.append(
            Prediction(
                id=row["id"],
                task=row["task_id"],
                category=row["task_category"],
                instance=row["id"],
                prediction=row["prediction"],
                references=tuple(row["references"]),
                rouge_l=rouge,
                exact_match=exact,
            )
        )
    path = Path(str(DATA)) / "golden" / "superni_eval_500_aggregate.json"
    expected = json.loads(path.read_text(encoding="utf-8"))
    found = official(summarise(scored))
    assert found["overall"]["overall"] == expected["overall"]
    assert found["per_category"] == expected["per_category"]
    assert found["per_task"] == expected["per_task"]


@needs_data
def test_golden_cross_lingual_rows() -> None:
    for row in rows_of("superni_eval_xlingual_30.jsonl.gz"):
        score = rouge_l(row["tokens_prediction"], row["tokens_reference"])
        assert score == pytest.approx(row["rougeL_xlingual"], abs=1e-9)
        default = best_scores(row["prediction"], row["references"])
        assert default == pytest.approx((row["rougeL_default"], row["exact_match"]), abs=1e-9)
