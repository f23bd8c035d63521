import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_engine import (
    BEGIN,
    END,
    END_OF_TURN,
    TURN,
    byte_tokenizer,
    chat_model,
    chat_tokenizer,
    random_llama,
    save,
)

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.adapters import require_base
from refine_af.engines.encoding import PromptEncoder
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Request, Sampling
from refine_af.engines.transformers_text import TransformersText

TEXTS = ["long " * 20, "a", "Sort: pear, apple", "", "Zürich", "b " * 30]
REQUESTS = [Request(f"r{place}", text, place) for place, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("model"), random_llama())


def adapter_for(folder: Path, seed: int = 1, layers: int = 2, hidden: int = 32) -> Path:
    torch.manual_seed(seed)
    tuned = get_peft_model(
        random_llama(layers=layers, hidden=hidden),
        LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False),
    )
    tuned.save_pretrained(str(folder))
    return folder


def test_answers_come_back_in_the_order_of_the_requests(folder: str) -> None:
    sampling = Sampling(max_tokens=12, temperature=0.0)
    small = TransformersText(folder, batch_size=2).generate(REQUESTS, sampling)
    large = TransformersText(folder, batch_size=64).generate(REQUESTS, sampling)
    assert [one.id for one in small] == [request.id for request in REQUESTS]
    assert [one.text for one in small] == [one.text for one in large]
    assert [one.prompt_tokens for one in small] == [len(text.encode()) or 1 for text in TEXTS], (
        "an empty prompt begins with the end token"
    )


def test_text_is_cut_at_the_stop_text_and_the_end_token_leaves_none(folder: str) -> None:
    engine = TransformersText.wrap(random_llama(), byte_tokenizer())
    requests = [Request(str(seed), "go", seed) for seed in range(40)]
    found = engine.generate(requests, Sampling(max_tokens=40, stop=("e",)))
    stopped = [one for one in found if one.finish == "stop"]
    assert stopped
    assert all("e" not in one.text and "<end>" not in one.text for one in found)


def test_a_prompt_that_leaves_no_room_is_an_error_of_its_row(folder: str) -> None:
    requests = [Request("fits", "a" * 412, 1), Request("long", "a" * 413, 1)]
    found = TransformersText(folder).generate(requests, Sampling(max_tokens=100))
    assert [one.finish for one in found] != ["error", "error"]
    assert found[0].finish in ("stop", "length")
    assert found[1].finish == "error"
    assert "413 tokens and 100 more" in found[1].error
    assert "512" in found[1].error
    choice = TransformersText(folder).generate(
        requests, Sampling(max_tokens=100, choices=("Yes", "No"))
    )
    assert [one.finish for one in choice] == ["stop", "stop"], "a choice needs its own room only"
    assert all(one.text in ("Yes", "No") for one in choice)


def test_an_adapter_changes_greedy_answers_as_peft_says(folder: str, tmp_path: Path) -> None:
    adapter = adapter_for(tmp_path / "adapter")
    sampling = Sampling(max_tokens=12, temperature=0.0)
    plain = TransformersText(folder).generate(REQUESTS, sampling)
    engine = TransformersText(folder, adapter)
    tuned = engine.generate(REQUESTS, sampling)
    assert [one.text for one in tuned] != [one.text for one in plain]
    assert len(engine.describe()["adapter_digest"]) == 64

    from peft import PeftModel

    beside = PeftModel.from_pretrained(random_llama(), str(adapter))
    wrapped = TransformersText.wrap(beside, byte_tokenizer())  # type: ignore[arg-type]
    unmerged = wrapped.generate(REQUESTS, sampling)
    assert [one.text for one in unmerged] == [one.text for one in tuned]


@pytest.mark.parametrize(("layers", "hidden"), [(2, 64), (3, 32), (1, 32)])
def test_an_adapter_of_another_model_is_refused(
    folder: str, tmp_path: Path, layers: int, hidden: int
) -> None:
    adapter = adapter_for(tmp_path / "adapter", layers=layers, hidden=hidden)
    with pytest.raises(DataError, match="does not fit the model"):
        TransformersText(folder, adapter)


@pytest.mark.parametrize(
    ("base", "model", "same"),
    [
        ("builtin:fixture", "builtin:tiny", False),
        ("org/Model-1B", "org/Model-1B-Instruct@main", False),
        ("org/Model-1B", "copies/model-1b@v2", True),
        ("org/Model-1B", "/models/other", True),
        ("s3://bucket/model", "org/Model-1B", True),
        (None, "org/Model-1B", True),
    ],
)
def test_an_adapter_says_which_model_it_was_trained_on(
    tmp_path: Path, base: str | None, model: str, same: bool
) -> None:
    adapter = adapter_for(tmp_path / "adapter")
    config = adapter / "adapter_config.json"
    said = json.loads(config.read_text()) | {"base_model_name_or_path": base}
    config.write_text(json.dumps(said))
    if same:
        require_base(adapter, model)
        return
    with pytest.raises(DataError, match=f"was trained on {base}, the model is {model}; use the"):
        require_base(adapter, model)
    if model == "builtin:tiny":
        with pytest.raises(DataError, match="was trained on builtin:fixture"):
            TransformersText(model, adapter)


def test_an_incomplete_adapter_is_refused(folder: str, tmp_path: Path) -> None:
    adapter = adapter_for(tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    with pytest.raises(DataError, match="does not fit the model"):
        TransformersText(folder, adapter)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(DataError, match=r"no adapter_model\.safetensors"):
        TransformersText(folder, adapter)
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(DataError, match=r"no adapter_config\.json"):
        TransformersText(folder, adapter)


def test_chat_goes_through_the_models_own_template() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    sampling = Sampling(max_tokens=10, temperature=0.0)
    chat = TransformersText.wrap(random_llama(), tokenizer, chat=True)
    raw = TransformersText.wrap(random_llama(), tokenizer)
    got = chat.generate([Request("1", "hello", 1)], sampling)[0]
    want = raw.generate([Request("1", "<user>hello<assistant>", 1)], sampling)[0]
    assert got == want


def test_a_chat_prompt_has_the_special_tokens_of_its_template_once() -> None:
    tokenizer = chat_tokenizer()
    assert tokenizer("hi")["input_ids"][0] == BEGIN, "the tokenizer adds it by itself"
    ids = PromptEncoder(tokenizer, context=512, chat=True).encode("Say hi.")
    assert ids.count(BEGIN) == 1
    assert ids[0] == BEGIN
    assert (ids.count(TURN), ids.count(END_OF_TURN)) == (2, 1), "whole tokens, not their letters"
    assert "Say hi." in tokenizer.decode(ids)
    assert PromptEncoder(tokenizer, context=512, chat=False).encode("Say hi.").count(BEGIN) == 1


def test_a_chat_answer_ends_at_the_end_of_the_turn(tmp_path: Path) -> None:
    request, sampling = Request("1", "Say hi.", 1), Sampling(max_tokens=12, temperature=0.0)
    folder = chat_model(tmp_path, request.prompt)
    [ended] = TransformersText(folder, chat=True).generate([request], sampling)
    assert ended.finish == "stop"
    assert ended.tokens <= 4, "at most three and the end of the turn"
    assert "<end_turn>" not in ended.text
    config = json.loads((tmp_path / "generation_config.json").read_text())
    assert config["eos_token_id"] == [END, END_OF_TURN]
    config["eos_token_id"] = END
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    [same] = TransformersText(folder, chat=True).generate([request], sampling)
    assert same.tokens == ended.tokens, "the chat template ends its turns with it"
    template = (tmp_path / "chat_template.jinja").read_text()
    (tmp_path / "chat_template.jinja").write_text(template.replace("<end_turn>", "<begin>"))
    [whole] = TransformersText(folder, chat=True).generate([request], sampling)
    assert whole.tokens > ended.tokens, "it was that token that ended the turn"


def test_chat_without_a_template_is_refused(folder: str) -> None:
    with pytest.raises(ParameterError, match="no chat template"):
        TransformersText(folder, chat=True)


def test_a_schema_or_a_pattern_is_refused_with_the_engines_that_take_it(folder: str) -> None:
    engine = TransformersText(folder)
    for form in (Sampling(json_schema='{"type": "object"}'), Sampling(regex="[a-z]+")):
        with pytest.raises(ParameterError, match="use vllm, or openai"):
            engine.generate(REQUESTS[:1], form)


def test_provenance_names_what_the_rows_depend_on(folder: str) -> None:
    engine = open_engine(EngineParams(model=folder, engine_batch=7))
    facts = engine.describe()
    assert facts["engine"] == "transformers"
    assert facts["determinism"] == engine.determinism == "same_batch"
    assert facts["dtype"] == "float32"
    assert facts["batch_size"] == "7"
    assert len(facts["model_digest"]) == 64
    assert {"torch", "transformers", "device"} <= facts.keys()
    engine.close()


def test_naughty_prompts_come_back_whole(folder: str) -> None:
    texts = ["\x1b[31m\x07\x08", "\u2028\u2029", "\u202eabc", "a\x00b", "\U0001f600" * 20]
    requests = [Request(str(place), text, place) for place, text in enumerate(texts)]
    found = TransformersText(folder).generate(requests, Sampling(max_tokens=20))
    assert [one.id for one in found] == [str(place) for place in range(len(texts))]
    assert all(one.finish in ("stop", "length") for one in found)
    assert all(one.text.encode() is not None for one in found)


def test_a_model_whose_every_weight_was_trained_stands_in_for_the_base(
    folder: str, tmp_path: Path
) -> None:
    whole = Path(save(tmp_path / "whole", random_llama(seed=7)))
    sampling = Sampling(max_tokens=12, temperature=0.0)

    def answers(model: str, trained: Path | None) -> list[str]:
        engine = open_engine(EngineParams(model=model), trained)
        return [one.text for one in engine.generate(REQUESTS, sampling)]

    assert answers(folder, whole) == answers(str(whole), None) != answers(folder, None)
    with pytest.raises(DataError, match="no adapter_config"):
        open_engine(EngineParams(model=folder), tmp_path)
