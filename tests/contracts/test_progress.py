"""Progress of a stage, as lines and as events."""

from collections.abc import Callable
from pathlib import Path

import pytest

from refine_af.contracts.jsonl import iter_objects
from refine_af.contracts.progress import EVENTS_VARIABLE, Pace, StageProgress


def test_nothing_done_has_no_remaining_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    StageProgress("stage").step(0, 0, "rows")
    assert capsys.readouterr().err == "stage: 0/0 rows, 0/s\n"

    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events.jsonl"))
    StageProgress("stage").step(0, 4, "rows", kept=0)
    [(_, event)] = iter_objects(tmp_path / "events.jsonl")
    assert (event["done"], event["rate"], event["eta"]) == (0, 0.0, None)


def pace(seconds: Callable[[int], float], done: int, step: int = 10) -> tuple[float, float | None]:
    """Return rate and time left after ``done`` of 1,000 rows that are done at ``seconds``."""
    measured = Pace()
    for number in range(step, done, step):
        measured.after(seconds(number), number, 1_000, "rows")
    return measured.after(seconds(done), done, 1_000, "rows")


@pytest.fixture(autouse=True)
def clock_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)


def test_the_rate_is_that_of_the_last_minute() -> None:
    # 10 rows a second for 50 s, then one a second.
    rate, left = pace(lambda n: n / 10 if n <= 500 else 50 + (n - 500), 700)
    assert rate == pytest.approx(1.0)
    assert left == pytest.approx(300)


def test_time_left_grows_with_the_work_per_row() -> None:
    # Row n takes n / 5,000 s, so 1,000 rows take 100 s and the first half of them a quarter.
    rate, left = pace(lambda n: n * n / 10_000, 500)
    assert rate == pytest.approx(20)
    assert left == pytest.approx(75, rel=0.1)


def test_what_an_earlier_run_had_done_and_other_units_do_not_count() -> None:
    measured = Pace()
    measured.after(5.0, 100, 100, "rows read")
    assert measured.after(6.0, 0, 100, "rows compared") == (0.0, None)
    for second in range(7, 100):
        rate, left = measured.after(float(second), 900 + second - 6, 1_000, "rows compared")
    assert rate == pytest.approx(1.0)
    assert left == pytest.approx(1_000 - 993)


def test_what_was_read_from_a_journal_is_no_rate() -> None:
    measured = Pace()
    measured.after(5.0, 0, 1_000, "rows compared")
    measured.resumed(5.5, 700, "rows compared")
    assert measured.after(15.5, 750, 1_000, "rows compared") == (5.0, 50.0)


def test_the_time_before_a_unit_begins_is_not_its_rate() -> None:
    measured = Pace()
    measured.after(5.0, 100, 100, "rows read")
    assert measured.after(65.0, 0, 100, "rows compared") == (0.0, None)
    assert measured.after(67.0, 10, 100, "rows compared") == (5.0, 18.0)
