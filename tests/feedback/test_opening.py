"""Opening by name, the judge and the user's own function."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import (
    DataError,
    DependencyError,
    MissingLibraryError,
    ParameterError,
)
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.judge import JudgeScorer
from refine_af.engines.scorers.opening import open_reward, open_scorer
from refine_af.engines.text import Completion, Determinism, Request, Sampling
from refine_af.feedback.interface import Triplet, Unscored
from refine_af.feedback.params import SCORER_PARTS, RewardParams

ROWS = [Triplet("Add.", "2 and 3", "5"), Triplet("Say yes.", "", "### Grade: 5")]


class WrittenAnswers:
    """A text engine that gives written answers in turn and keeps what it was asked."""

    determinism: Determinism = "exact"

    def __init__(self, *answers: str, finish: str = "stop") -> None:
        self.answers, self.finish = answers, finish
        self.asked: list[Request] = []
        self.sampling = Sampling()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return the written answers."""
        self.asked, self.sampling = list(requests), sampling
        return [
            Completion(request.id, answer, self.finish, 0, 1, error="no route to host")  # type: ignore[arg-type]
            for request, answer in zip(requests, self.answers, strict=True)
        ]

    def describe(self) -> dict[str, str]:
        """Return the model's name."""
        return {"model": "written"}

    def close(self) -> None:
        """Nothing to free."""


def test_the_judge_gives_its_digit_and_asks_one_constrained_greedy_question() -> None:
    engine = WrittenAnswers("4", " 2\n")
    scorer = JudgeScorer(engine)
    assert scorer.score(ROWS) == [{"judge": 4.0}, {"judge": 2.0}]
    assert (engine.sampling.temperature, engine.sampling.choices) == (0.0, tuple("12345"))
    prompt = engine.asked[0].prompt
    assert "INPUT\n2 and 3\n" in prompt
    assert prompt.endswith("Grade (one digit from 1 to 5):")
    again = WrittenAnswers("4", "2")
    JudgeScorer(again).score(ROWS)
    assert again.asked == engine.asked


def test_a_row_that_holds_braces_is_put_in_as_it_is() -> None:
    engine = WrittenAnswers("1")
    JudgeScorer(engine).score([Triplet("Fill {output}.", "{marker}", "{0}")])
    assert "Fill {output}." in engine.asked[0].prompt


@pytest.mark.parametrize("answer", ["", "good", "6", "10", "55"])
def test_a_verdict_outside_the_rubric_is_one_unscored_row(answer: str) -> None:
    first, second = JudgeScorer(WrittenAnswers("4", answer)).score(ROWS)
    assert first == {"judge": 4.0}
    assert isinstance(second, Unscored)
    assert "it must be a digit from 1 to 5" in second.reason


def test_a_judge_that_never_gives_a_verdict_is_refused() -> None:
    rows = [Triplet("Add.", str(number), "5") for number in range(10)]
    with pytest.raises(DataError, match=r"0 of 10 verdicts can be used.*'good'"):
        JudgeScorer(WrittenAnswers(*["good"] * 10)).score(rows)


def test_a_failed_request_names_its_reason() -> None:
    with pytest.raises(DependencyError, match=r"2 of 2 rows were not answered.*no route to host"):
        JudgeScorer(WrittenAnswers("", "", finish="error")).score(ROWS)


def test_a_row_that_no_judge_can_read_is_unscored() -> None:
    pytest.importorskip("torch", reason="builtin:tiny needs refine-af[train]")
    engine = open_engine(EngineParams())
    [parts] = JudgeScorer(engine).score([Triplet("Count every boat. " * 1000, "", "nine")])
    assert isinstance(parts, Unscored)
    assert re.search("the prompt has .* the model's context holds 2048", parts.reason)


USER_MODULE = """
def count_words(rows):
    return [len(row.output.split()) for row in rows]

def several(rows):
    return [{"several": 1, "extra": 2.5} for row in rows]
several.part_names = ("several", "extra")

def broken(rows):
    raise KeyError("colour")

def textual(rows):
    return ["high" for row in rows]

def forgetful(rows):
    return [1.0]

number = 3
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_own_reward.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_own_reward", None)
    return "my_own_reward"


def test_the_users_function_is_the_reward(user_module: str) -> None:
    scored = open_reward(RewardParams(reward=f"{user_module}:count_words")).score(ROWS)
    assert [one.raw for one in scored] == [1.0, 3.0]
    assert (
        open_scorer(f"{user_module}:several", RewardParams()).score(ROWS)
        == [{"several": 1.0, "extra": 2.5}] * 2
    )
    assert open_reward(RewardParams(reward=f"{user_module}:several")).score(ROWS)[0].raw == 1.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", "raised KeyError: 'colour'"),
        ("textual", "row 1: found 'high'"),
        ("forgetful", "returned 1 scores for 2 rows"),
    ],
)
def test_a_bad_user_function_is_refused(user_module: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_reward(RewardParams(reward=f"{user_module}:{function}")).score(ROWS)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("no_such_module_here:f", "cannot import no_such_module_here"),
        ("my_own_reward:count_word", "Did you mean 'count_words'"),
        ("my_own_reward:number", "no such function"),
        ("my_own_reward:", "must be module:function"),
    ],
)
def test_a_user_function_that_is_not_there(user_module: str, place: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        open_reward(RewardParams(reward=place))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reward": "instruct_mining"}, "x.reward is 'instruct_mining'; Did you mean 'instructm"),
        ({"reward_drop": "coherense"}, "x.reward_drop is 'coherense'; .* Did you mean 'coherence'"),
        ({"reward_extra": "uni_eval"}, "x.reward_extra is 'uni_eval'; .* Did you mean 'unieval'"),
        ({"reward_extra": "embedded"}, "unieval and embedded both give the part 'naturalness'"),
        ({"reward": "judge"}, "x.judge is ''; the reward asks a judge"),
        ({"reward": "judge", "judge": "m"}, "judge_url is ''; give an address"),
        ({"unieval": "MingZhong/unieval-sum"}, "trained on other questions"),
        ({"scorer_device": "gpu"}, "it must be auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_reward_that_cannot_be_is_refused_at_once(values: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        RewardParams.parse(values, where="x")


def test_the_parts_of_each_scorer_are_those_it_gives() -> None:
    from refine_af.engines.scorers.embedded import EmbeddedScorer
    from refine_af.engines.scorers.language_model import LanguageModelScorer
    from refine_af.engines.scorers.reward_model import OpenAssistantScorer
    from refine_af.engines.scorers.unieval import UniEval

    scorers: dict[str, Any] = {
        "embedded": EmbeddedScorer,
        "reward_model": OpenAssistantScorer,
        "unieval": UniEval,
        "language_model": LanguageModelScorer,
        "judge": JudgeScorer,
    }
    assert {name: scorer.part_names for name, scorer in scorers.items()} == SCORER_PARTS


def test_a_judge_is_opened_as_its_parameters_say() -> None:
    asked: list[EngineParams] = []

    def opened(params: EngineParams) -> WrittenAnswers:
        asked.append(params)
        return WrittenAnswers("5", "1")

    params = RewardParams(reward="judge", judge="m", judge_url="http://host/v1")
    reward = open_reward(params, opened)
    assert (asked[0].model, asked[0].engine, asked[0].base_url) == ("m", "openai", "http://host/v1")
    assert [one.raw for one in reward.score(ROWS)] == [5.0, 1.0]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingLibraryError, match="scorer reward_model needs transformers"):
        open_reward(RewardParams(reward="no_und"))
