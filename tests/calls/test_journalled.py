"""The journalled engine: what is asked again after a stop, what is kept, when a stage ends."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from refine_af.calls import journalled as module
from refine_af.calls.failures import check_parsed
from refine_af.calls.journalled import STEP, JournalledEngine
from refine_af.contracts.errors import DataError, DependencyError
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.stage import Task
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.storage.journal import MemoryJournal

SAMPLING = Sampling(max_tokens=8)


class Engine:
    """Answers with the prompt in upper case and keeps what it was asked, call by call."""

    determinism: Determinism = "exact"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        self.unusable: set[str] = set()
        self.stop_at: str | None = None
        self.opened = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Answer all."""
        self.asked.append([one.id for one in requests])
        return [self.answer(one) for one in requests]

    def answer(self, request: Request) -> Completion:
        """Answer, fail or stop, as the test set."""
        if request.id == self.stop_at:
            raise KeyboardInterrupt
        done = Completion(request.id, request.prompt.upper(), "stop", 2, 3)
        if request.id in self.broken | self.refused:
            bad = request.id in self.refused
            return replace(done, text="", finish="error", error="no credit", refused=bad)
        if request.id in self.unusable:
            return replace(done, text="", finish="error", error="no content", unusable=True)
        return done

    def describe(self) -> dict[str, str]:
        """Return a name."""
        return {"engine": "test"}

    def close(self) -> None:
        """Nothing is held."""

    def open(self) -> "Engine":
        """Count how often the engine is opened."""
        self.opened += 1
        return self


class OneByOne(Engine):
    """An endpoint: hands on each answer as it comes."""

    def generate_each(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_answer: Callable[[Completion], None],
    ) -> list[Completion]:
        """Answer one after the other."""
        self.asked.append([])
        found = []
        for one in requests:
            found.append(self.answer(one))
            self.asked[-1].append(one.id)
            on_answer(found[-1])
        return found


def requests(count: int, start: int = 0) -> list[Request]:
    return [Request(f"r{n}", f"prompt {n}", n) for n in range(start, start + count)]


class Stage:
    """A stage that can be run again on the same journal."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.journal = engine, MemoryJournal()

    def start(self, **settings: Any) -> JournalledEngine:  # noqa: ANN401
        """Return the engine of another run of the stage."""
        self.engine.asked.clear()
        outputs = {"calls": Path("calls")}
        progress = StageProgress("test")
        self.task = Task({}, outputs, self.journal, progress, Path())
        return JournalledEngine(self.engine.open, self.task, **settings)


def test_a_run_again_asks_nothing_that_was_answered_and_opens_no_engine() -> None:
    stage = Stage(Engine())
    first = stage.start()
    whole = [first.generate(requests(STEP + 3), SAMPLING), first.generate(requests(2), SAMPLING)]
    first.finish()
    assert [len(ids) for ids in stage.engine.asked] == [STEP, 3, 2]
    again = stage.start()
    assert [
        again.generate(requests(STEP + 3), SAMPLING),
        again.generate(requests(2), SAMPLING),
    ] == whole
    again.finish()
    assert (stage.engine.asked, stage.engine.opened) == ([], 1)
    assert "endpoint_money" not in stage.task.telemetry, "no price, no money"
    counts = {"calls": STEP + 5, "prompt_tokens": 2 * (STEP + 5), "new_tokens": 3 * (STEP + 5)}
    assert {name: stage.task.telemetry[name] for name in counts} == counts


def test_a_stop_repeats_one_step_of_an_engine_that_answers_in_batches() -> None:
    stage = Stage(Engine())
    stage.engine.stop_at = f"r{STEP + 1}"
    with pytest.raises(KeyboardInterrupt):
        stage.start().generate(requests(STEP + 3), SAMPLING)
    stage.engine.stop_at = None
    stage.start().generate(requests(STEP + 3), SAMPLING)
    assert stage.engine.asked == [[f"r{n}" for n in range(STEP, STEP + 3)]]


def test_a_stop_repeats_no_answer_of_an_engine_that_answers_one_by_one() -> None:
    stage = Stage(OneByOne())
    stage.engine.stop_at = "r6"
    with pytest.raises(KeyboardInterrupt):
        stage.start().generate(requests(9), SAMPLING)
    stage.engine.stop_at = None
    found = stage.start().generate(requests(9), SAMPLING)
    assert stage.engine.asked == [["r6", "r7", "r8"]]
    assert [one.text for one in found] == [f"PROMPT {n}" for n in range(9)]


def test_a_kill_repeats_only_what_came_since_the_last_save(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(OneByOne())
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    kept: list[bytes] = []

    class Recording(MemoryJournal):
        def publish(self, name: str, data: bytes) -> None:
            kept.append(data)
            super().publish(name, data)

    stage.journal = Recording()
    stage.start().generate(requests(5), SAMPLING)
    assert len(kept) == 5, "a save after each answer, and none at the end for nothing new"
    stage.journal.publish("calls-000000", kept[2])  # as if the process was killed after the third
    stage.start().generate(requests(5), SAMPLING)
    assert stage.engine.asked == [["r3", "r4"]]


@pytest.mark.parametrize("engine", [Engine(), OneByOne()])
def test_failures_above_the_share_end_the_stage_and_only_they_are_asked_again(
    engine: Engine,
) -> None:
    stage = Stage(engine)
    engine.broken = {f"r{n}" for n in range(100, 104)}
    with pytest.raises(DependencyError, match=r"4 of 256 .*more than max_failed 0\.01") as caught:
        stage.start().generate(requests(300), SAMPLING)
    assert "no credit" in str(caught.value)
    assert caught.value.exit_code == 69
    engine.broken = set()
    found = stage.start().generate(requests(300), SAMPLING)
    # The second step was not begun: the share was exceeded for certain after the first.
    assert engine.asked[0] == [f"r{n}" for n in range(100, 104)]
    assert [one.text for one in found] == [f"PROMPT {n}" for n in range(300)]


def test_an_unusable_answer_is_one_row_and_is_not_asked_again() -> None:
    stage = Stage(Engine())
    stage.engine.unusable = {"r1", "r3", "r5"}
    first = stage.start(max_failed=0.0)
    found = first.generate(requests(10), SAMPLING)
    first.finish()
    assert [one.error for one in found].count("no content") == 3
    again = stage.start(max_failed=0.0)
    assert again.generate(requests(10), SAMPLING) == found
    assert stage.engine.asked == []


def test_a_stage_whose_answers_are_all_unusable_ends_with_the_reason() -> None:
    stage = Stage(Engine())
    stage.engine.unusable = {"r0", "r1"}
    engine = stage.start()
    engine.generate(requests(2), SAMPLING)
    with pytest.raises(DataError, match=r"none of 2 answers could be used; .*no content"):
        engine.finish()


def test_a_failure_below_the_share_is_returned_and_asked_again_by_the_next_run() -> None:
    stage = Stage(Engine())
    stage.engine.broken = {"r7"}
    found = stage.start().generate(requests(100), SAMPLING)
    assert [one.id for one in found if one.finish == "error"] == ["r7"]
    stage.engine.broken = set()
    assert stage.start().generate(requests(100), SAMPLING)[7].text == "PROMPT 7"
    assert stage.engine.asked == [["r7"]]


def test_a_failure_that_the_stage_went_on_from_stays_for_later_prompts_rest_on_it() -> None:
    stage = Stage(Engine())
    stage.engine.broken = {"r7"}
    first = stage.start()
    whole = [
        first.generate(requests(100), SAMPLING),
        first.generate(requests(100, 100), SAMPLING),
    ]
    stage.engine.broken = set()
    again = stage.start()
    assert [
        again.generate(requests(100), SAMPLING),
        again.generate(requests(100, 100), SAMPLING),
    ] == whole
    assert stage.engine.asked == []


def test_refused_requests_end_the_stage_only_when_all_are_or_more_than_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage = Stage(Engine())
    stage.engine.refused = {f"r{n}" for n in range(99)}
    engine = stage.start()
    engine.generate(requests(100), SAMPLING)
    engine.finish()
    assert "99 of 100 requests failed; most often (99 of 99): no credit" in capsys.readouterr().err
    strict = stage.start(max_refused=0.5)
    strict.generate(requests(100), SAMPLING)
    with pytest.raises(DataError, match="99 of 100 requests were refused, more than 50%"):
        strict.finish()
    stage.engine.refused.add("r99")
    other = Stage(stage.engine).start()
    other.generate(requests(100), SAMPLING)
    with pytest.raises(DataError, match="none of 100 requests was accepted"):
        other.finish()


@pytest.mark.parametrize(
    "changed",
    [
        ([Request("r0", "another prompt", 0)], SAMPLING),
        ([Request("r0", "prompt 0", 1)], SAMPLING),
        (requests(1), Sampling(max_tokens=9)),
    ],
)
def test_a_request_that_changed_is_asked_anew(changed: tuple[list[Request], Sampling]) -> None:
    stage = Stage(Engine())
    stage.start().generate(requests(1), SAMPLING)
    found = stage.start().generate(*changed)
    assert stage.engine.asked == [["r0"]]
    assert found[0].text == changed[0][0].prompt.upper()


def test_every_call_is_a_row_in_the_order_asked() -> None:
    engine = Stage(Engine()).start()
    engine.generate(requests(3), SAMPLING)
    shown = {"r0": ("a", "b"), "r2": ()}
    rows = list(engine.calls(shown.get))
    assert [(row.request, row.parents, row.text) for row in rows] == [
        ("r0", ("a", "b"), "PROMPT 0"),
        ("r2", (), "PROMPT 2"),
    ]


def test_any_completion_survives_the_journal() -> None:
    from refine_af.calls.answers import dump_answers, load_answers

    odd = Completion("x", "\udc00\x00é", "stop", 1, 2, -0.5, "", (-0.1, -2.0), False)
    assert load_answers(dump_answers({"k": odd})) == {"k": odd}
    assert load_answers(None) == {}


def test_answers_without_the_form_end_the_stage_when_hardly_any_has_it() -> None:
    check_parsed(1, 10, "")
    check_parsed(0, 9, "")  # too few to say
    with pytest.raises(DataError, match=r"9 of 100 answers .*begins 'Sure, I can'.*chat=yes"):
        check_parsed(9, 100, "Sure, I can")
