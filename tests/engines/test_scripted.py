import json
import re
from pathlib import Path
from typing import Any

import pytest

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scripted import ScriptedText
from refine_af.engines.text import Request, Sampling

LIST = "Below is a varied list of tasks.\n1. Count.\n2. Sort.\n3."


def texts(prompt: str, seeds: range, sampling: Sampling | None = None) -> list[str]:
    requests = [Request(str(seed), prompt, seed) for seed in seeds]
    engine = ScriptedText("builtin:tiny")
    return [one.text for one in engine.generate(requests, sampling or Sampling(max_tokens=500))]


def test_a_numbered_list_is_continued() -> None:
    found = texts(LIST, range(20))
    for text in found:
        numbers = [int(number) for number in re.findall(r"(?:^|\n)(\d+)\.", "3." + text)]
        assert numbers == list(range(3, 11))
    assert len(set(found)) == 20


def test_instances_and_answers_have_the_forms_that_are_parsed() -> None:
    first = texts("Instruction: Sort.\n", range(1))[0]
    assert re.fullmatch(r"Input: .+\nOutput: .+\n", first)
    labels = texts("Instruction: Classify.\nClass label:", range(1))[0]
    assert re.fullmatch(r" \w+\nInput: .+\n(Class label: \w+\nInput: .+\n)+", labels)
    assert texts("Classify it.\nAnswer:", range(1)) == [" Yes"]
    assert texts("Sort it.\nAnswer:", range(1)) == [" No"]
    choice = Sampling(choices=("A", "B", "C"))
    assert set(texts(LIST, range(30), choice)) == {"A", "B", "C"}


def test_an_answer_depends_on_its_request_alone() -> None:
    assert texts(LIST, range(5)) == [texts(LIST, range(seed, seed + 1))[0] for seed in range(5)]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"json_schema": "{"}, "json_schema is not JSON"),
        ({"json_schema": "[]"}, "must be a JSON object"),
        ({"regex": "("}, r"regex is '\('; it must be a regular expression: missing \)"),
        ({"regex": "a", "choices": ("a",)}, "exclude each other"),
        ({"regex": "a", "json_schema": "{}"}, "exclude each other"),
    ],
)
def test_a_form_that_cannot_be_is_refused(form: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Sampling(**form)


def test_a_script_is_held_to_no_schema_or_pattern() -> None:
    for form in (Sampling(json_schema='{"type": "object"}'), Sampling(regex="[a-z]+")):
        with pytest.raises(ParameterError, match="engine 'scripted' cannot hold"):
            texts(LIST, range(1), form)


def test_length_and_stop_text_are_kept() -> None:
    short = ScriptedText("builtin:tiny").generate([Request("1", LIST, 1)], Sampling(max_tokens=4))[
        0
    ]
    assert short.finish == "length"
    assert len(short.text.split()) == 4
    assert "\n5." not in texts(LIST, range(1), Sampling(stop=("\n5.",)))[0]


def test_a_file_answers_by_match_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    lines = [
        {"match": "sum", "text": "4"},
        {"match": "sum", "text": "four", "finish": "length"},
        {"match": "joke", "text": "overloaded", "finish": "error"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    engine = open_engine(EngineParams(engine="scripted", model=str(path)))
    requests = [Request(str(seed), "the sum of 2 and 2", seed) for seed in range(20)]
    found = engine.generate(requests, Sampling())
    assert {(one.text, one.finish) for one in found} == {("4", "stop"), ("four", "length")}
    failed = engine.generate([Request("1", "a joke", 1), Request("2", "poem", 1)], Sampling())
    assert [(one.finish, one.text) for one in failed] == [("error", ""), ("error", "")]
    assert failed[0].error == "overloaded"
    assert "no line of" in failed[1].error
    assert engine.determinism == "exact"
    assert len(engine.describe()["script_digest"]) == 64


def test_a_wrong_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="JSON Lines file"):
        ScriptedText(str(tmp_path / "absent.jsonl"))
    path = tmp_path / "answers.jsonl"
    path.write_text('{"text": 3}\n')
    with pytest.raises(DataError, match=r"answers\.jsonl:1: 'text' and 'match' must be"):
        ScriptedText(str(path))
    path.write_text('{"text": "a", "finish": "done"}\n')
    with pytest.raises(DataError, match="finish is 'done'"):
        ScriptedText(str(path))


def test_an_unknown_engine_or_an_adapter_it_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"engine is 'vlm'; it must be .*'scripted'"):
        EngineParams.parse({"engine": "vlm"})
    with pytest.raises(ParameterError, match="engine is 'scripted'; it cannot apply an adapter"):
        open_engine(EngineParams(engine="scripted"), tmp_path)
