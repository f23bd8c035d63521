"""Means by group, by hand."""

import random

from refine_af.contracts.records import Prediction
from refine_af.evaluation.summary import Score, official, summarise


def row(task: str, category: str, instance: str, rouge: float, exact: float) -> Prediction:
    return Prediction(
        id=f"{task}/{instance}",
        task=task,
        category=category,
        instance=instance,
        prediction="x",
        references=("y",),
        rouge_l=rouge,
        exact_match=exact,
    )


ROWS = [
    row("a", "Data to Text", "1", 0.5, 0.0),
    row("a", "Data to Text", "2", 1.0, 1.0),
    row("b", "Data to Text", "3", 0.0, 0.0),
    row("c", "Keyword Tagging", "4", 0.25, 1.0),
]


def test_overall_weighs_instances_not_tasks() -> None:
    summary = summarise(ROWS)
    assert summary.overall == Score(1.75 / 4, 0.5, 4)
    assert summary.per_task["a"] == Score(0.75, 0.5, 2)
    assert summary.per_category["data_to_text"] == Score(0.5, 1 / 3, 3)


def test_order_of_rows_changes_nothing() -> None:
    mixed = [row("t", "c", str(place), place / 7, 0.0) for place in range(50)]
    turned = random.Random(1).sample(mixed, len(mixed))
    assert summarise(mixed) == summarise(turned)


def test_official_form_rounds_at_the_edge() -> None:
    third = [row("t", "c", str(place), 1 / 3, 0.0) for place in range(3)]
    assert official(summarise(third))["per_task"]["t"] == {
        "exact_match": 0.0,
        "rougeL": 33.3333,
        "n": 3,
    }
