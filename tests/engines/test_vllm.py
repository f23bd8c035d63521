"""The real vLLM with the embedded fixture; ``make test-vllm`` runs it in its own environment."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed here; make test-vllm runs this")

import jsonschema
import torch
from peft import LoraConfig, get_peft_model
from tiny_engine import chat_model

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.models import load_model
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Request, Sampling, TextEngine
from refine_af.engines.transformers_text import TransformersText

pytestmark = pytest.mark.vllm

MODEL = "builtin:fixture"
LIST = "Below is a varied list of tasks that a helpful assistant can do.\n1. Sort the words.\n2."
PROMPTS = [
    LIST,
    "Instruction: Reverse the list.\n",
    "Instruction: Sort the words.\nInput: pear apple\nOutput:",
    "Instruction: Count the letters.\nInput: banana\nOutput:",
    "",
    "Zürich 東京",
]
GREEDY = Sampling(max_tokens=24, temperature=0.0)


def requests(count: int = len(PROMPTS)) -> list[Request]:
    return [Request(f"r{n}", PROMPTS[n % len(PROMPTS)], 1000 + n) for n in range(count)]


def of_vllm(**values: Any) -> EngineParams:  # noqa: ANN401
    return EngineParams.parse({"engine": "vllm", "model": MODEL} | values)


@pytest.fixture(scope="module")
def engine() -> Iterator[TextEngine]:
    opened = open_engine(of_vllm(engine_batch=16, max_model_len=512))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    model, _ = load_model(MODEL)
    torch.manual_seed(5)
    config = LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(str(folder))
    return folder


def test_greedy_equals_transformers(engine: TextEngine) -> None:
    found = engine.generate(requests(), GREEDY)
    wanted = TransformersText(MODEL).generate(requests(), GREEDY)
    assert [one.text for one in found] == [one.text for one in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours.id, ours.finish, ours.prompt_tokens, ours.tokens) == (
            theirs.id,
            theirs.finish,
            theirs.prompt_tokens,
            theirs.tokens,
        )
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-2)


def test_a_completion_depends_on_its_seed_and_not_on_order_or_neighbours(
    engine: TextEngine,
) -> None:
    sampling = Sampling(max_tokens=24, temperature=0.9, top_p=0.95)
    asked = requests(40)
    found = engine.generate(asked, sampling)
    assert engine.generate(asked, sampling) == found
    assert engine.generate(asked[::-1], sampling) == found[::-1]
    assert engine.generate(asked[:3], sampling) == found[:3]
    same_prompt = [one.text for one in found[:: len(PROMPTS)]]
    assert len(set(same_prompt)) > 1


def test_more_prompt_tokens_than_the_default_budget_with_seeds(engine: TextEngine) -> None:
    # Over 4,096 prompt tokens at once kill a seeded CPU engine with default settings.
    long = "Instruction: Count the letters of the word and name the first one.\n" * 20
    asked = [Request(str(n), f"{n} {long}", n) for n in range(60)]
    found = engine.generate(asked, Sampling(max_tokens=8, temperature=1.0))
    assert sum(one.prompt_tokens for one in found[:16]) > 4096
    assert all(one.finish in ("stop", "length") for one in found)
    assert engine.generate(asked, Sampling(max_tokens=8, temperature=1.0)) == found


def test_stop_texts_leave_no_trace(engine: TextEngine) -> None:
    free = engine.generate(requests(1), Sampling(max_tokens=40, temperature=0.0))[0]
    assert "\n3." in free.text
    cut = engine.generate(requests(1), Sampling(max_tokens=40, temperature=0.0, stop=("\n3.",)))[0]
    assert cut.text == free.text.split("\n3.")[0]
    assert cut.finish == "stop"


def test_choices_are_held_to(engine: TextEngine) -> None:
    choices = (" Yes", " No", " Neither of the two")
    for temperature in (0.0, 1.0):
        sampling = Sampling(max_tokens=1, temperature=temperature, choices=choices)
        found = engine.generate(requests(20), sampling)
        assert {(one.text in choices, one.finish) for one in found} == {(True, "stop")}


SCHEMA = {
    "type": "object",
    "properties": {
        "input": {"type": "string", "maxLength": 12},
        "labels": {"type": "array", "items": {"enum": ["yes", "no"]}, "minItems": 1, "maxItems": 2},
        "score": {"enum": [1, 2, 3]},
    },
    "required": ["input", "labels", "score"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_json_schema_is_held_to(engine: TextEngine, temperature: float) -> None:
    # The stop text stands in every answer: it must not cut one.
    sampling = Sampling(200, temperature, stop=('"labels"',), json_schema=json.dumps(SCHEMA))
    found = engine.generate(requests(20), sampling)
    assert {one.finish for one in found} == {"stop"}
    for one in found:
        jsonschema.validate(json.loads(one.text), SCHEMA)
    assert engine.generate(requests(20)[::-1], sampling) == found[::-1]
    assert all(one.logprob is not None and one.logprob < 0 for one in found)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_pattern_is_held_to(engine: TextEngine, temperature: float) -> None:
    pattern = r"Input: [a-z ]{1,20}\nOutput: (yes|no), [0-9]{2}\."
    found = engine.generate(requests(20), Sampling(100, temperature, regex=pattern))
    assert {one.finish for one in found} == {"stop"}
    assert all(re.fullmatch(pattern, one.text) for one in found), [one.text for one in found]
    assert len({one.text for one in found}) > 1


def test_a_form_that_no_grammar_expresses_is_refused(engine: TextEngine) -> None:
    for sampling in (
        Sampling(8, regex=r"(a)\1"),
        Sampling(8, json_schema='{"type": "no such type"}'),
    ):
        with pytest.raises(ParameterError, match="vLLM refuses the request"):
            engine.generate(requests(2), sampling)
    assert len(engine.generate(requests(2), GREEDY)) == 2, "the engine goes on"


def test_a_prompt_too_long_is_an_error_of_its_row(engine: TextEngine) -> None:
    asked = [Request("long", "word " * 600, 1), Request("short", "word", 1)]
    found = engine.generate(asked, Sampling(max_tokens=8))
    assert [one.finish == "error" for one in found] == [True, False]
    assert "context holds 512" in found[0].error


def test_an_adapter_shows_in_greedy_answers_as_in_transformers(
    engine: TextEngine, adapter: Path
) -> None:
    plain = [one.text for one in engine.generate(requests(), GREEDY)]
    # The last use of the first engine: closing the second one ends vLLM in this process.
    tuned = open_engine(of_vllm(engine_batch=8, max_model_len=512), adapter)
    found = [one.text for one in tuned.generate(requests(), GREEDY)]
    facts = tuned.describe()
    tuned.close()
    assert found != plain
    wanted = TransformersText(MODEL, adapter).generate(requests(), GREEDY)
    assert found == [one.text for one in wanted]
    assert len(facts["adapter_digest"]) == 64


def test_a_chat_model_answers_as_in_transformers_and_ends_its_turn(tmp_path: Path) -> None:
    asked = [Request("1", "Say hi.", 1), Request("2", "Sort: pear, apple", 2)]
    sampling = Sampling(max_tokens=12, temperature=0.0)
    folder = chat_model(tmp_path, asked[0].prompt)
    engine = open_engine(of_vllm(model=folder, chat=True, engine_batch=4, max_model_len=256))
    found = engine.generate(asked, sampling)
    facts = engine.describe()
    engine.close()
    assert found[0].finish == "stop"
    wanted = TransformersText(folder, chat=True).generate(asked, sampling)
    assert [(one.text, one.finish, one.prompt_tokens, one.tokens) for one in found] == [
        (one.text, one.finish, one.prompt_tokens, one.tokens) for one in wanted
    ]
    assert facts["chat"] == "true"


def test_what_does_not_fit_is_refused_before_the_engine_starts(
    adapter: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match="max_lora_rank is 1 and the adapter"):
        open_engine(of_vllm(max_lora_rank=1), adapter)
    with pytest.raises(DataError, match=r"no adapter_config\.json"):
        open_engine(of_vllm(), tmp_path)
    with pytest.raises(ParameterError, match="vLLM refuses"):
        open_engine(of_vllm(max_model_len=1_000_000, engine_batch=1))


def test_provenance(engine: TextEngine) -> None:
    facts = engine.describe()
    assert facts["engine"] == "vllm"
    assert facts["vllm"].startswith("0.")
    assert facts["dtype"] == "float32"
    assert facts["max_model_len"] == "512"
    assert facts["determinism"] == engine.determinism == "same_batch"
    assert len(facts["model_digest"]) == 64
