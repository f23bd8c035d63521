"""The page: its answer, its escaping, its bytes, its size; and the pages beside it."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from made_run import HOSTILE, made_run

from refine_af.contracts.errors import ParameterError
from refine_af.reporting import svg
from refine_af.reporting.inputs import ArmInputs, Report, ReportInputs
from refine_af.reporting.report import render
from refine_af.reporting.text import markdown_block, markdown_cell, number, shown
from refine_af.reporting.timing import render_timing


@pytest.fixture(scope="module")
def plain() -> Report:
    return render(made_run())


@pytest.fixture(scope="module")
def hostile() -> Report:
    return render(made_run(hostile=True))


def test_the_answer_stands_first_and_is_the_metric(plain: Report) -> None:
    wins, losses = plain.metrics["rl_vs_baseline_wins"], plain.metrics["rl_vs_baseline_losses"]
    share = plain.metrics["rl_vs_baseline_win_share"]
    assert share == pytest.approx(100 * wins / (wins + losses))
    sentence = f"rl scores higher than baseline on {wins:.0f} of {wins + losses:.0f} decided tasks"
    assert sentence in plain.html
    assert plain.html.index(sentence) < plain.html.index('id="funnel"')
    low, high = (plain.metrics[f"rl_vs_baseline_win_share_{end}"] for end in ("low", "high"))
    interval = f"({share:.1f} %; 95 % interval {low:.1f} to {high:.1f} %)"
    assert f"**{sentence} {interval}" in plain.markdown
    assert "without RL: the start model wrote" in plain.html
    assert plain.answer.startswith(sentence)
    assert "Noise floor" in plain.html


def test_same_inputs_same_bytes(plain: Report) -> None:
    again = render(made_run())
    assert (again.html, again.markdown, again.metrics) == (
        plain.html,
        plain.markdown,
        plain.metrics,
    )


def test_nothing_is_loaded_from_anywhere(hostile: Report) -> None:
    page = hostile.html
    addresses = set(re.findall(r"https?://[^\"'\s<>]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(?:link|iframe|img|object|embed|form)\b", page)
    assert "default-src 'none'" in page
    assert "@import" not in page


def test_model_text_is_text(hostile: Report) -> None:
    page = hostile.html
    assert page.count("<script>") == 1
    assert "onerror='" not in page
    assert "<svg onload" not in page
    assert "{{ 7 * 7 }}" in page
    assert "\u202e" not in page
    # The brackets of an HTML tag may stand in a fenced block, and nowhere else.
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", hostile.markdown)
    assert not re.search(r"<[a-zA-Z/!]", outside)


def test_ids_are_unique_and_drawings_are_xml(plain: Report) -> None:
    ids = re.findall(r'\sid="([^"]+)"', plain.html)
    assert len(ids) == len(set(ids))
    drawings = re.findall(r"<svg.*?</svg>", plain.html, flags=re.DOTALL)
    assert len(drawings) > 10
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # noqa: S314  our own drawing


def test_every_axis_is_named(plain: Report) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", plain.html, flags=re.DOTALL):
        texts = [one for one in re.findall(r">([^<>]+)</text>", drawing) if re.search("[a-z]", one)]
        assert len(texts) >= 1


def test_no_line_runs_through_the_names_of_the_series(plain: Report) -> None:
    named = 0
    for drawing in re.findall(r"<svg.*?</svg>", plain.html, flags=re.DOTALL):
        _, _, names = drawing.partition("-legend_1")
        if not names:
            continue
        _, _, axes = drawing.partition("-patch_2")
        path = re.search(r' d="([^"]+)"', axes)
        assert path
        top = min(float(end) for end in re.findall(r"[ML] [0-9.]+ ([0-9.]+)", path[1]))
        lines = [float(y) for y in re.findall(r'<text [^>]*\by="([0-9.]+)"', names)]
        assert lines
        assert max(lines) < top
        named += 1
    assert named >= 3


def test_metric_names_depend_on_arms_alone(plain: Report, hostile: Report) -> None:
    assert set(plain.metrics) == set(hostile.metrics)


def test_arms_with_other_settings_get_no_share() -> None:
    run = made_run()
    arms = dict(run.arms)
    arms["baseline"] = replace(arms["baseline"], settings={"evaluate.max_tokens": 64})
    report = render(replace(run, arms=arms))
    assert "rl_vs_baseline_win_share" not in report.metrics
    assert "setting &#39;evaluate.max_tokens&#39; is 128 in rl and 64 in baseline" in report.html
    assert "No win share is given" in report.markdown


def test_the_start_model_is_held_to_the_evaluation_settings_alone() -> None:
    run = made_run()
    arms = dict(run.arms)
    written = {"instances.samples": 1, **arms["rl"].settings}
    arms["rl"] = replace(arms["rl"], settings=written)
    assert "rl_vs_start_win_share" in render(replace(run, arms=arms)).metrics
    arms["start"] = replace(arms["start"], settings={"evaluate.max_tokens": 64})
    assert "rl_vs_start_win_share" not in render(replace(run, arms=arms)).metrics


def test_low_scores_are_called_low() -> None:
    run = made_run()
    arms = {
        name: replace(
            arm,
            predictions=[
                row.model_copy(update={"rouge_l": row.rouge_l / 20}) for row in arm.predictions
            ],
        )
        for name, arm in run.arms.items()
    }
    assert "not as evidence for or against the method" in render(replace(run, arms=arms)).html


def test_an_empty_run_is_said_to_be_empty() -> None:
    report = render(ReportInputs(arms={"rl": ArmInputs()}))
    assert "This run has no comparison" in report.html
    assert report.metrics == {"funnel_problems": 0.0}


def test_a_count_that_does_not_add_up_is_on_the_page() -> None:
    run = made_run()
    report = render(replace(run, rejected=run.rejected[1:]))
    assert "These counts do not add up" in report.html
    assert report.metrics["funnel_problems"] > 0


def test_50_000_rows_stay_under_three_megabytes() -> None:
    # Seconds and memory are measured by benchmarks/report.py; here only what cannot vary.
    report = render(made_run(rows=2000, tasks=119, instances=20))
    assert len(report.html.encode()) < 3_000_000


def test_colours_follow_the_page() -> None:
    drawing = svg.lines("x", [("a <b>", [1, 2], [3, 4]), ("c", [1, 2], [4, 3])], "x, s", "y, m")
    assert "var(--c1)" in drawing
    assert "currentColor" in drawing
    assert "#0a0b" not in drawing
    assert "a &lt;b&gt;" in drawing
    assert "stroke-dasharray" in drawing


def test_shown_text() -> None:
    assert shown("a\x07\u202eb\nc") == "a\ufffd\ufffdb\nc"
    assert shown("abcdef", most=3) == "abc … (3 more characters)"
    assert markdown_cell("a|b\n<i>*c*") == r"a\|b &lt;i&gt;\*c\*"
    assert markdown_block("a\n```\nb").startswith("````text\n")
    assert [number(value) for value in (None, 12345.0, 0.12345, -2.0)] == [
        *("-", "12,345", "0.1235", "-2")
    ]
    assert number(-5.551e-17) == "0"


def test_money_of_endpoints_stands_beside_that_of_gpus() -> None:
    telemetry = {
        "generate_instructions": {"seconds": 9.0, "gpus": 0, "endpoint_money": 1.25},
        "train_ppo": {"seconds": 3600.0, "gpus": 1},
        "report": {"seconds": 1.0},
    }
    page = render_timing(telemetry, price_per_gpu_hour=2.0, currency="EUR").markdown
    assert "2.00 EUR at 2 per GPU-hour, 1.25 EUR for tokens of endpoints." in page
    money = [line.split("|")[4].strip() for line in page.splitlines()[-3:]]
    assert money == ["1.25 EUR", "2.00 EUR", "-"]
    alone = render_timing(telemetry)
    assert "3,610 seconds in all stages, 3,600 GPU-seconds, 1.25 for tokens" in alone.markdown
    assert "1.25" in alone.html
    telemetry["generate_instructions"].pop("endpoint_money")
    assert "money" not in render_timing(telemetry).markdown.lower()


def test_timing_by_hand() -> None:
    timing = render_timing(
        {
            "evaluate (rl)": {"seconds": 90.0, "gpus": 2, "new_tokens": 4000},
            HOSTILE: {"seconds": 10.0, "gpu_seconds": 5.0},
        },
        price_per_gpu_hour=36.0,
        currency="EUR",
    )
    # 185 GPU-seconds of 3,600 at 36 an hour.
    assert "100 seconds in all stages, 185 GPU-seconds, 1.85 EUR" in timing.markdown
    assert "<img" not in timing.html
    rows = timing.markdown.splitlines()
    assert rows[-2].split("|")[2:5] == [" 90 ", " 180 ", " 1.80 EUR "]
    with pytest.raises(ParameterError, match="price_per_gpu_hour is -1"):
        render_timing({}, price_per_gpu_hour=-1)
