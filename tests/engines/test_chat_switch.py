"""Which models are asked through their chat template."""

import json
from pathlib import Path

import pytest

from refine_af.contracts.errors import ParameterError
from refine_af.engines.chat import has_chat_template, uses_chat
from refine_af.engines.params import EngineParams
from refine_af.pipelines.config import parse


def model(folder: Path, name: str, text: str) -> str:
    """Return a folder that is a model as far as files go, with one more of them."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / name).write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "text", "has"),
    [
        ("chat_template.jinja", "{{ messages }}", True),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ messages }}"}), True),
        ("tokenizer_config.json", json.dumps({"chat_template": None}), False),
        ("tokenizer_config.json", "[]", False),
        ("tokenizer_config.json", "not JSON", False),
        ("README.md", "", False),
    ],
)
def test_auto_is_yes_where_the_model_has_a_template(
    tmp_path: Path, name: str, text: str, has: bool
) -> None:
    folder = model(tmp_path / "model", name, text)
    assert has_chat_template(Path(folder)) is has
    assert uses_chat("auto", folder) is has
    assert uses_chat("auto", folder, "vllm") is has
    assert uses_chat("auto", folder, "openai") is False
    assert uses_chat("yes", folder, "openai") is True
    assert uses_chat("no", folder) is False


def test_the_embedded_model_is_no_chat_model() -> None:
    assert EngineParams().asks_by_chat is False


@pytest.mark.parametrize(
    ("given", "word"), [(True, "yes"), (False, "no"), ("true", "yes"), ("auto", "auto")]
)
def test_yaml_reads_yes_as_true_and_the_word_is_meant(given: object, word: str) -> None:
    assert EngineParams.parse({"chat": given}).chat == word
    config = parse({"parameters": {"chat": given}, "stages": {"evaluate": {"chat": given}}}, "test")
    assert config.parameters["chat"] == config.stages["evaluate"]["chat"] == word


def test_any_other_word_is_refused() -> None:
    with pytest.raises(ParameterError, match="chat"):
        EngineParams.parse({"chat": "perhaps"})
