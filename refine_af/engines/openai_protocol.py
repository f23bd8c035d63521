"""The OpenAI wire format: what is asked and how an answer is read. No network here."""

import json
import re
from collections.abc import Mapping
from typing import Any

from refine_af.engines.stopping import cut
from refine_af.engines.text import Completion, Request, Sampling

MOST_STOP_TEXTS = 4
"""What the hosted API takes; further ones are cut here."""


def path(chat: bool) -> str:
    """Return the part of the address behind the base URL."""
    return "/chat/completions" if chat else "/completions"


def payload(model: str, request: Request, sampling: Sampling, chat: bool) -> bytes:
    """Return the body of a request.

    A JSON schema goes as ``response_format``, which hosted chat endpoints and vLLM's server read;
    choices and patterns as ``structured_outputs``, which vLLM's server reads and others do not.
    """
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "seed": request.seed,
    }
    if chat:
        body["messages"] = [{"role": "user", "content": request.prompt}]
    else:
        body["prompt"] = request.prompt
    if sampling.stop and sampling.free:
        body["stop"] = list(sampling.stop[:MOST_STOP_TEXTS])
    if sampling.choices:
        body["structured_outputs"] = {"choice": list(sampling.choices)}
    if sampling.regex:
        body["structured_outputs"] = {"regex": sampling.regex}
    if sampling.json_schema:
        schema = {"name": "answer", "schema": json.loads(sampling.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body).encode()


def read_answer(raw: bytes, request: Request, sampling: Sampling) -> Completion:
    """Return the completion in a response's body, or one with ``finish == "error"``."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return failed(request, f"the answer is not JSON ({str(error)[:120]})")
    text, reason, problem = _first_choice(value)
    if problem:
        return failed(request, f"malformed answer: {problem}")
    read, written = _usage(value)
    if (form := _broken_form(text, reason, sampling)) is not None:
        return failed(
            request, f"the endpoint did not hold to the {form}: {text[:80]!r}", read, written
        )
    kept = cut(text, sampling.stop) if sampling.free else text
    finish = "stop" if len(kept) < len(text) else reason
    if finish not in ("stop", "length"):
        return failed(request, f"the endpoint ended it with {finish!r}", read, written)
    return Completion(request.id, kept, "length" if finish == "length" else "stop", read, written)


def _broken_form(text: str, reason: object, sampling: Sampling) -> str | None:
    """Return the name of the form that was asked for and not kept, or None.

    Of a JSON schema only the JSON is checked here: a server that does not know
    ``response_format`` ignores it and writes prose. One that met its limit is no whole answer.
    """
    if sampling.choices:
        return None if text in sampling.choices else "choices"
    if reason == "length":
        return None
    if sampling.regex:
        return None if re.fullmatch(sampling.regex, text) else "pattern"
    return "JSON schema" if sampling.json_schema and not _is_json(text) else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def failed(request: Request, reason: str, read: int = 0, written: int = 0) -> Completion:
    """Return a completion without text that says why."""
    return Completion(request.id, "", "error", read, written, error=reason)


def _first_choice(value: object) -> tuple[str, object, str]:
    """Return (text, finish reason, problem)."""
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        return "", None, "it has no list 'choices' with an object"
    first = choices[0]
    message = first.get("message")
    text = message.get("content") if isinstance(message, Mapping) else first.get("text")
    if not isinstance(text, str):
        return "", None, f"its text is {type(text).__name__}, not text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "", None, "its text holds a lone surrogate"
    return text, first.get("finish_reason"), ""


def _usage(value: Mapping[str, object]) -> tuple[int, int]:
    usage = value.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return (read if isinstance(read, int) else 0, written if isinstance(written, int) else 0)


def error_message(raw: bytes) -> str:
    """Return what the endpoint says about a refused request, at most 300 characters."""
    try:
        value = json.loads(raw)
        found = value.get("error", value.get("message", value.get("detail")))
        text = found.get("message") if isinstance(found, Mapping) else found
    except (ValueError, AttributeError, RecursionError):
        text = None
    shown = text if isinstance(text, str) else raw.decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in shown).split())[:300]
