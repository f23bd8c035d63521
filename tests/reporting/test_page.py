"""The pages by rules that readers of every kind need: names, headings, contrast, size."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from made_run import made_run

from refine_af.contracts.records import Prediction
from refine_af.reporting import svg
from refine_af.reporting.report import render
from refine_af.reporting.side_by_side import MOST_QUESTIONS, side_by_side
from refine_af.reporting.timing import render_timing

STYLE = Path(svg.__file__).parent / "page" / "style.css"


@pytest.fixture(scope="module")
def page() -> str:
    return render(made_run()).html


class Elements(HTMLParser):
    """Every start tag with its attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.found.append((tag, dict(attrs)))

    def of(self, *tags: str) -> Iterator[dict[str, str | None]]:
        """Yield the attributes of these tags."""
        yield from (attributes for tag, attributes in self.found if tag in tags)


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Elements(page).found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_chart_and_control_has_a_name(page: str) -> None:
    elements = Elements(page)
    charts = list(elements.of("svg"))
    assert charts
    assert all(chart.get("role") == "img" and chart.get("aria-label") for chart in charts)
    assert len({chart["aria-label"] for chart in charts}) == len(charts)
    inputs = re.findall(r"<label>[^<]*<input[^>]*>[^<]*</label>", page)
    assert len(inputs) == len(list(elements.of("input")))


def test_every_link_of_the_contents_leads_to_a_section(page: str) -> None:
    elements = Elements(page)
    ids = {one.get("id") for one in elements.of("section")}
    links = {str(one["href"])[1:] for one in elements.of("a")}
    assert links == ids


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_a_contrast_of_at_least_4_5(dark: bool) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[1 if dark else 0]))
    for text in ("ink", "soft", "accent"):
        for ground in ("paper", "panel"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["warn"], colours["warn-paper"]) >= 4.5
    for series in ("c1", "c2", "c3", "c4", "c5", "c6"):
        assert contrast(colours[series], colours["paper"]) >= 3.0, series


def predictions(task: str, scores: list[float], arm: str) -> list[Prediction]:
    return [
        Prediction(
            id=f"p-{arm}-{task}-{number}",
            task=task,
            category="made",
            instance=str(number),
            prediction=f"{score}",
            references=("right",),
            rouge_l=score,
            exact_match=0.0,
            input=f"question {number}",
        )
        for number, score in enumerate(scores)
    ]


def test_answers_stand_side_by_side_with_the_largest_differences_first() -> None:
    arms = {
        "baseline": predictions("a", [0.5, 0.5], "b") + predictions("z", [0.2, 0.9, 0.5], "b"),
        "rl": predictions("a", [0.5, 0.5], "r") + predictions("z", [0.9, 0.1, 0.5], "r"),
        "start": [],
    }
    first, second = side_by_side(arms)
    assert (first.task, second.task) == ("z", "a")
    assert first.difference == pytest.approx(0.5 - 1.6 / 3)
    assert [question.instance for question in first.questions] == ["0", "2", "1"]
    assert [answer.arm for answer in first.questions[0].answers] == ["rl", "baseline"]
    assert [question.disagree for question in first.questions] == [True, False, True]
    assert first.questions[0].difference == pytest.approx(0.7)


def test_a_large_evaluation_shows_the_ends_and_counts_the_rest() -> None:
    scores = [number / 100 for number in range(100)]
    arms = {
        arm: [row for n in range(119) for row in predictions(f"t{n}", values, arm)]
        for arm, values in (("rl", scores), ("baseline", [0.5] * 100))
    }
    tasks = side_by_side(arms)
    assert sum(len(task.questions) for task in tasks) <= MOST_QUESTIONS
    assert tasks[0].left_out == 100 - len(tasks[0].questions)
    assert tasks[0].questions[0].difference == pytest.approx(0.49)
    assert tasks[0].questions[-1].difference == pytest.approx(-0.5)


def test_the_page_says_which_run_it_is_and_that_the_model_is_embedded(page: str) -> None:
    assert "<b>model</b>" in page
    assert "<b>run</b>" in page
    assert page.count("A proof of the plumbing") == (1 if "builtin:" in page else 0)


def test_a_band_of_shares_stays_within_0_and_1() -> None:
    low, high = svg._band([0.1, 0.95], [0.3, 0.3])
    assert low == [0.0, pytest.approx(0.65)]
    assert high == [pytest.approx(0.4), 1.0]
    assert svg._band([5.0], [1.0]) == ([4.0], [6.0])


def test_timing_has_bars_money_and_the_start() -> None:
    telemetry = {
        "train_ppo": {"seconds": 1800.0, "gpus": 2, "started": 1_795_000_000.0},
        "report": {"seconds": 18.0, "gpus": 0, "started": 1_795_002_000.0},
    }
    html = render_timing(telemetry, price_per_gpu_hour=2.5).html
    assert "Started 2026-11-18 11:06 UTC" in html
    assert 'style="width:100.0%"' in html
    assert 'style="width:1.0%"' in html
    assert '<td class="n" data-label="Money">2.50</td>' in html
