from dataclasses import replace

import pytest
from made_evolution import made_evolution

from refine_af.reporting import evolution_numbers
from refine_af.reporting.evolution import render
from refine_af.reporting.evolution_inputs import EvolutionArm, EvolutionInputs
from refine_af.reporting.evolution_numbers import arm_numbers, nearest_distance


@pytest.fixture
def inputs() -> EvolutionInputs:
    return made_evolution()


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


def test_of_many_instructions_a_draw_is_compared(
    inputs: EvolutionInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = arm_numbers(inputs)[0]
    compared: list[int] = []

    def counted(texts: list[str]) -> list[float]:
        compared.append(len(texts))
        return [0.5] * len(texts)

    monkeypatch.setattr(evolution_numbers, "nearest_distance", counted)
    monkeypatch.setattr(evolution_numbers, "MOST_COMPARED", 3)
    few = arm_numbers(inputs)[0]
    assert compared[0] == 3 < whole.kept == few.kept
    assert few.diversity is not None
    assert few.diversity.value == pytest.approx(0.5)


def test_distance_to_the_nearest_other() -> None:
    assert nearest_distance(["a red bird sings", "a red bird sings"]) == pytest.approx(
        [0, 0], abs=1e-5
    )
    assert min(nearest_distance(["count the rivers", "paint a wooden door"])) > 0.7


def test_an_empty_run_still_has_a_page() -> None:
    report = render(EvolutionInputs(arms={"start": EvolutionArm()}))
    assert "has no comparison" in report.answer
