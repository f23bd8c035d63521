"""Schemas of instruction data sets, and the conversion of their rows to ours.

Recognised by their fields: Self-Instruct, Alpaca, Dolly, ShareGPT, messages, prompt and completion,
plain instructions. Anything else is read through a map from our fields to theirs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.errors import ParameterError, nearest

JsonObject = dict[str, Any]

FIELDS = ("id", "name", "instruction", "input", "output", "is_classification", "licence")
"""Our fields that a map may name."""

_SYNONYMS = {
    "instruction": ("question", "query", "task", "problem", "title", "request", "text"),
    "input": ("context", "passage", "document", "source"),
    "output": ("answer", "response", "completion", "reply", "solution", "target", "label"),
}
_USER = ("human", "user", "prompter")
_MODEL = ("gpt", "assistant", "model", "chatgpt", "bot")


@dataclass(frozen=True, slots=True)
class Recognised:
    """A row in our fields, and the schema that it came in."""

    schema: str
    row: JsonObject


def recognise(value: JsonObject) -> Recognised | None:
    """Return a row in our fields (``instances`` for Self-Instruct), or None for no known schema."""
    for name, convert in _SCHEMAS.items():
        row = convert(value)
        if row is not None:
            kept = {key: value[key] for key in ("id", "name", "licence") if key in value}
            return Recognised(name, kept | row)
    return None


def mended(value: JsonObject) -> JsonObject:
    """Return a row with foreign values as text: null inputs, numbers as ids; no empty id."""
    row = dict(value)
    if row.get("id") == "":
        del row["id"]
    for name in ("input", "name", "licence"):
        if name in row and row[name] is None:
            row[name] = ""
    for name in ("id", "seed_id"):
        if isinstance(row.get(name), bool | int | float):
            row[name] = json.dumps(row[name])
    _write_numbers(row)
    if isinstance(row.get("instances"), list):
        row["instances"] = [_mended_pair(pair) for pair in row["instances"]]
    return row


def _mended_pair(pair: object) -> object:
    if not isinstance(pair, dict):
        return pair
    pair = pair | {"input": ""} if pair.get("input") is None else dict(pair)
    _write_numbers(pair)
    return pair


def _write_numbers(row: JsonObject) -> None:
    """Write, in place, numbers that stand where a text does: answers to sums and class labels."""
    for name in ("input", "output"):
        if isinstance(row.get(name), bool | int | float):
            row[name] = json.dumps(row[name])


def as_instance(value: JsonObject) -> JsonObject | None:
    """Return a row of a known schema with instruction, input and output, or None."""
    recognised = recognise(value)
    if recognised is None or "instances" in recognised.row or "output" not in recognised.row:
        return None
    return recognised.row


def _self_instruct(value: JsonObject) -> JsonObject | None:
    if "instruction" in value and isinstance(value.get("instances"), list):
        return {key: value[key] for key in (*FIELDS, "instances") if key in value}
    return None


def _alpaca(value: JsonObject) -> JsonObject | None:
    if "instruction" in value and "output" in value:
        return {key: value[key] for key in FIELDS if key in value}
    return None


def _dolly(value: JsonObject) -> JsonObject | None:
    if "instruction" not in value or "response" not in value:
        return None
    row = {
        "instruction": value["instruction"],
        "input": value.get("context", value.get("input")),
        "output": value["response"],
    }
    if isinstance(value.get("category"), str):
        row["is_classification"] = value["category"] == "classification"
    return row


def _sharegpt(value: JsonObject) -> JsonObject | None:
    turns = value.get("conversations", value.get("conversation"))
    return _from_turns(turns, "from", "value") or _from_turns(turns, "role", "content")


def _messages(value: JsonObject) -> JsonObject | None:
    turns = value.get("messages")
    if turns is None and isinstance(value.get("prompt"), list):
        turns = [*value["prompt"], *_listed(value.get("completion", value.get("chosen")))]
    return _from_turns(turns, "role", "content")


def _pairs(value: JsonObject) -> JsonObject | None:
    for asked, answered in (("prompt", "completion"), ("prompt", "response"), ("prompt", "output")):
        if isinstance(value.get(asked), str) and isinstance(value.get(answered), str):
            given = value.get("input", value.get("context"))
            row = {"instruction": value[asked], "output": value[answered].strip()}
            return row | ({"input": given} if given is not None else {})
    return None


def _plain(value: JsonObject) -> JsonObject | None:
    text = value.get("instruction", value.get("prompt", value.get("text")))
    if isinstance(text, str) and not {"output", "response", "answer", "instances"} & set(value):
        return {"instruction": text}
    return None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _from_turns(turns: object, who: str, what: str) -> JsonObject | None:
    """Return the first question and its answer; a system turn stands before the question."""
    said = [turn for turn in _listed(turns) if isinstance(turn, Mapping) and who in turn]
    system, question, answer = "", "", ""
    for turn in said:
        role, text = str(turn[who]).lower(), _text(turn.get(what))
        if role == "system" and not question:
            system = text
        elif role in _USER and not question:
            question = text
        elif role in _MODEL and question:
            answer = text
            break
    if not question or not answer:
        return None
    asked = f"{system.strip()}\n\n{question.strip()}".strip()
    return {"instruction": asked, "input": "", "output": answer.strip()}


def _text(content: object) -> str:
    """Return the text of a turn, whose content may be a list of parts."""
    if isinstance(content, str):
        return content
    parts = [part.get("text", "") for part in _listed(content) if isinstance(part, Mapping)]
    return "".join(part for part in parts if isinstance(part, str))


_SCHEMAS: dict[str, Callable[[JsonObject], JsonObject | None]] = {
    "Self-Instruct": _self_instruct,
    "Alpaca": _alpaca,
    "Dolly": _dolly,
    "ShareGPT": _sharegpt,
    "messages": _messages,
    "prompt and completion": _pairs,
    "plain instructions": _plain,
}


SCHEMAS = tuple(_SCHEMAS)
"""Names of the known schemas, for people."""


def parse_field_map(text: str) -> dict[str, str]:
    """Return our fields by name with theirs, from ``instruction=question,output=answer``.

    Raises:
        ParameterError: For a part of another form, a field that is not ours, or one named twice.
    """
    field_map: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not equals or not theirs:
            raise ParameterError(
                f"field_map has {part!r}; write OURS=THEIRS, such as"
                " instruction=question,output=answer"
            )
        if ours not in FIELDS:
            raise ParameterError(
                f"field_map names {ours!r};{nearest(ours, list(FIELDS))} our fields are:"
                f" {', '.join(FIELDS)}"
            )
        if ours in field_map:
            raise ParameterError(f"field_map names {ours!r} twice")
        field_map[ours] = theirs
    return field_map


def mapped(value: JsonObject, fields: Mapping[str, str]) -> JsonObject | None:
    """Return a row with our names for its fields; None where the instruction's field is missing.

    A dot leads into an object: ``output=answers.text``.
    """
    row = {ours: _at(value, theirs) for ours, theirs in fields.items()}
    if row.get("instruction") is None:
        return None
    unmapped = {name: value[name] for name in FIELDS if name in value and name not in fields}
    return unmapped | row


def _at(value: object, path: str) -> Any:  # noqa: ANN401  whatever the row holds
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for name in path.split("."):
        if isinstance(value, list) and value:
            value = value[0]
        value = value.get(name) if isinstance(value, Mapping) else None
    return value[0] if isinstance(value, list) and value else value


def nearest_map(value: JsonObject) -> str:
    """Return the map that fits a row's fields best, as a value of ``field_map``."""
    lower = {name.lower(): name for name in value}
    field_map: dict[str, str] = {}
    for ours, names in _SYNONYMS.items():
        theirs = next((lower[name] for name in (ours, *names) if name in lower), None)
        if theirs is not None and theirs not in field_map.values():
            field_map[ours] = theirs
    return ",".join(f"{ours}={theirs}" for ours, theirs in field_map.items() if ours != theirs)
