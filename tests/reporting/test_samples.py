"""Dropped rows are shown with the text that they repeat, wherever it stands."""

from refine_af.contracts.records import Rejected
from refine_af.reporting.inputs import ReportInputs
from refine_af.reporting.report import render
from refine_af.reporting.samples import dropped_samples
from refine_af.self_instruct.decide import Answer, Decider
from refine_af.self_instruct.params import BootstrapParams

KNOWN = "Name three animals that live on a farm."


def test_a_copy_of_a_training_text_is_shown_beside_it() -> None:
    text = "1. Name three animals that live on the farm.\n2. Write a poem about the open sea."
    rows = Decider((), BootstrapParams(), [KNOWN]).decide([Answer(0, (), text, "stop")])
    dropped = [row for row in rows if isinstance(row, Rejected)]
    assert [(row.reason, row.neighbour, row.detail) for row in dropped] == [
        ("known", "known-0", KNOWN)
    ]
    (shown,) = dropped_samples(ReportInputs(rejected=dropped))
    assert shown.neighbour == KNOWN
    assert shown.why == "ROUGE-L over the limit with a text that the model was trained on"
    page = render(ReportInputs(rejected=dropped))
    assert f'<dt>Repeats</dt><dd class="text">{KNOWN}</dd>' in page.html
    assert KNOWN in page.markdown


def test_a_reason_with_a_detail_shows_the_detail_and_one_without_its_meaning() -> None:
    rows = [
        Rejected.make("generate_instances", "unparseable", "words"),
        Rejected.make("generate_instructions", "too_short", "Go.", detail="1 word, at least 4"),
    ]
    found = {one.row.reason: one.why for one in dropped_samples(ReportInputs(rejected=rows))}
    assert found == {
        "unparseable": "no input and output could be read from it",
        "too_short": "1 word, at least 4",
    }
