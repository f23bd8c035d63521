"""Whether a model is asked through its chat template."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator


def chat_word(value: object) -> object:
    """Return a truth value as the word that stood in the YAML: ``chat: yes`` is read as true."""
    truth = value.lower() if isinstance(value, str) else value
    return "yes" if truth in (True, "true") else "no" if truth in (False, "false") else value


Chat = Annotated[Literal["auto", "yes", "no"], BeforeValidator(chat_word)]


def uses_chat(chat: Chat, model: str, engine: str = "transformers") -> bool:
    """Return whether prompts go through the chat template of ``model``.

    Args:
        chat: What was asked for.
        model: As :func:`refine_af.engines.models.resolve_model`; ``auto`` may download it.
        engine: The text engine.
    """
    if chat != "auto":
        return chat == "yes"
    if engine not in ("transformers", "vllm") or model.startswith("builtin:"):
        return False
    from refine_af.engines.models import resolve_model

    return has_chat_template(Path(resolve_model(model)))


def has_chat_template(folder: Path) -> bool:
    """Return whether the model in ``folder`` comes with a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))
