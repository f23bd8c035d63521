"""The OpenAI wire format: requests and responses, without the network.

Servers differ in what they take and in what they write, so little is sent that is not standard
(:class:`Dialect`), and answers are read leniently: other finish words, lists of parts, choices in
other words. A body without an answer (an error, a page of HTML) is :class:`Unanswered`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from refine_af.engines.stopping import cut
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.engines.thinking import split_thinking

MOST_STOP_TEXTS = 4
"""Stop texts that the hosted API accepts; further ones are applied here."""

MOST_TOKENS = 10**9
"""Counts of tokens above this are no counts."""

CHOICE_TOKENS = 512
"""Most tokens of a choice without a grammar: the model may reason first."""

_CUT_WORD = re.compile("length|max|limit|window|truncat|incomplete")
"""In the finish reason of an answer that met its limit: ``length``, ``max_output_tokens``."""

_FILTERED_WORD = re.compile(
    "filter|safety|recit|prohibit|block|spii|refus|guardrail|sensitive|moderat|violat|policy"
)
"""In the finish reason of an answer that was withheld."""

_BROKEN_WORD = re.compile(
    "error|abort|cancel|fail|time.?out|overload|resource|unavailable|interrupt|preempt|disconnect"
    "|rate.?limit"
)
"""In the finish reason of an answer that the server did not finish; a retry may succeed."""

_UNPAID_WORDS = re.compile(
    r"credit balance|insufficient[ _](?:credit|balance|fund|quota)|out of credit|payment required"
    r"|exceeded (?:your )?current[ _]quota|current_quota|not enough (?:credit|balance)|billing",
    re.IGNORECASE,
)
"""How servers say in words, with any status, that an account has no credit."""

UNPAID = frozenset({402, "402", "insufficient_quota", "insufficient_credits", "billing_not_active"})
"""Status and codes of an account without credit."""

Kind = Literal["auto", "openai", "vllm"]


class Unanswered(Exception):  # noqa: N818  read like a result: an answer, or none
    """The endpoint gave no answer; the same request may be answered later.

    Attributes:
        unpaid: Whether the account has no credit left.
    """

    def __init__(self, reason: str, *, unpaid: bool = False) -> None:
        super().__init__(reason)
        self.unpaid = unpaid


@dataclass(slots=True)
class Dialect:
    """What an endpoint takes.

    Attributes:
        kind: ``vllm`` takes grammars and every sampling field; ``openai`` the standard ones.
        left_out: Fields that the endpoint refused.
        renamed: Whether it wants ``max_completion_tokens`` for ``max_tokens``.
        local_stop: Stop texts are not sent: the server would count them inside a think block.
    """

    kind: Literal["openai", "vllm"] = "openai"
    left_out: set[str] = field(default_factory=set)
    renamed: bool = False
    local_stop: bool = False

    def learn(self, body: Mapping[str, Any], said: str) -> bool:
        """Leave out what an endpoint refused with ``said``; False if there is nothing to leave out.

        Only fields that state a default, or that are optional, may be left out.
        """
        if "max_completion_tokens" in said and "max_tokens" in body:
            self.renamed = True
            return True
        optional = [name for name in body if name in _HELPING or body[name] == _DEFAULTS.get(name)]
        named = [name for name in optional if name in said]
        extra = [name for name in optional if name in _HELPING and name != "seed"]
        chosen = named or extra or optional
        self.left_out.update(chosen)
        return bool(chosen)


_HELPING = frozenset(
    {"structured_outputs", "response_format", "seed", "top_k", "min_p", "repetition_penalty"}
    | {"frequency_penalty"}
)
_DEFAULTS = {"top_p": 1.0, "presence_penalty": 0.0, "temperature": 1.0}


def path(chat: bool) -> str:
    """Return the part of the address behind the base URL."""
    return "/chat/completions" if chat else "/completions"


def payload(
    model: str, request: Request, sampling: Sampling, chat: bool, dialect: Dialect
) -> dict[str, Any]:
    """Return the body of a request.

    A JSON schema goes as ``response_format``; choices and patterns as ``structured_outputs`` to
    vLLM's server, choices as a schema to chat endpoints, and else in the prompt's words alone.
    """
    held = dialect.kind == "vllm" and "structured_outputs" not in dialect.left_out
    loose = bool(sampling.choices) and not held
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": max(sampling.max_tokens, CHOICE_TOKENS) if loose else sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "seed": request.seed,
    }
    if chat:
        body["messages"] = [{"role": "user", "content": request.prompt}]
    else:
        body["prompt"] = request.prompt
    if sampling.stop and sampling.free and not dialect.local_stop:
        body["stop"] = list(sampling.stop[:MOST_STOP_TEXTS])
    if dialect.kind == "vllm":
        # vLLM's server takes missing fields from the model's generation config
        body |= {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0}
    if not sampling.free:
        body |= _form(sampling, chat, dialect)
    if dialect.renamed:
        body["max_completion_tokens"] = body.pop("max_tokens")
    for name in dialect.left_out:
        body.pop(name, None)
    return body


def _form(sampling: Sampling, chat: bool, dialect: Dialect) -> dict[str, Any]:
    if sampling.json_schema:
        return {"response_format": _response_format(json.loads(sampling.json_schema))}
    if dialect.kind == "vllm":
        if sampling.choices:
            return {"structured_outputs": {"choice": list(sampling.choices)}}
        return {"structured_outputs": {"regex": sampling.regex}} if sampling.regex else {}
    if sampling.choices and chat:
        return {"response_format": _response_format(_choice_schema(sampling.choices))}
    return {}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    form = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": form}


def _choice_schema(choices: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(choices)}},
        "required": ["answer"],
        "additionalProperties": False,
    }


class _Said(NamedTuple):
    """What an endpoint wrote: text, reasoning apart from it, finish word, why it is unusable."""

    text: str
    reasoning: str = ""
    reason: str = ""
    unusable: str = ""


def read_answer(raw: bytes, request: Request, sampling: Sampling) -> Completion:
    """Return the completion in a response's body.

    Raises:
        Unanswered: The body holds no answer: an error, a page of HTML, no choices.
    """
    value = _object(raw)
    said = _said(value)
    read, written = _usage(value)
    if _BROKEN_WORD.search(said.reason):
        raise Unanswered(f"the endpoint ended it with {said.reason!r}")
    if said.unusable:
        return unusable(request, said.unusable, read, written)
    inside, text = split_thinking(said.text, None)
    thinking = said.reasoning + inside
    met_limit = _met_limit(said.reason)
    if not sampling.free and not (met_limit and not sampling.choices):
        answer = _in_form(text, sampling)
        if answer is None:
            form = "choices" if sampling.choices else "pattern" if sampling.regex else "JSON schema"
            return unusable(
                request, f"the endpoint did not hold to the {form}: {text[:80]!r}", read, written
            )
        return Completion(request.id, answer, "stop", read, written, thinking=thinking)
    kept = cut(text, sampling.stop) if sampling.free else text
    finish: Literal["stop", "length"] = "length" if met_limit and kept == text else "stop"
    return Completion(request.id, kept, finish, read, written, thinking=thinking)


def _met_limit(reason: str) -> bool:
    return reason != "stop" and _CUT_WORD.search(reason) is not None


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = _leniently_read(raw)
    value = _alone(value)
    if not isinstance(value, dict):
        raise Unanswered(f"the answer is {type(value).__name__}, not an object")
    if value.get("error"):
        raise Unanswered(f"an error with status 200: {error_message(raw)}", unpaid=is_unpaid(raw))
    return value


def _leniently_read(raw: bytes) -> Any:  # noqa: ANN401  any JSON
    """Return the JSON of a body with bytes that are not UTF-8, huge integers, or of a stream."""
    text = raw.decode("utf-8", "replace").strip()
    if text.startswith(("data:", "event:", ":")):
        return _joined_stream(text)
    try:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else 0)
    except (ValueError, RecursionError):
        shown = " ".join(text[:200].split())[:120]
        raise Unanswered(f"the answer is not JSON: {shown!r}") from None


def _joined_stream(text: str) -> Any:  # noqa: ANN401  any JSON
    """Return the answer that a stream of events holds, which nobody asked to be a stream.

    Raises:
        Unanswered: It has no end, or an event that is no JSON.
    """
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    try:
        events = [json.loads(line) for line in lines if line and line != "[DONE]"]
    except (ValueError, RecursionError):
        raise Unanswered("the answer is a stream with an event that is no JSON") from None
    answer: dict[str, Any] = {}
    content, reasoning, reason = "", "", None
    for event in events:
        if not isinstance(event, dict):
            continue
        answer |= {name: event[name] for name in ("error", "usage") if event.get(name)}
        choices = event.get("choices")
        if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            continue
        choice = choices[0]
        delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        if isinstance(delta, dict):
            content += _text_of(delta, "content")
            reasoning += _text_of(delta, "reasoning_content") or _text_of(delta, "reasoning")
        reason = choice.get("finish_reason") or reason
    if reason is None and "error" not in answer:
        raise Unanswered("the answer is a stream that breaks off")
    message = {"content": content, "reasoning_content": reasoning}
    return answer | {"choices": [{"message": message, "finish_reason": reason}]}


def _text_of(delta: Mapping[str, Any], name: str) -> str:
    value = delta.get(name)
    return value if isinstance(value, str) else ""


def _alone(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Return the only item of a list, in which some servers put an answer or an error."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _said(value: Mapping[str, Any]) -> _Said:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raw = json.dumps(value).encode()
        shown = f"malformed answer, without a list 'choices' of objects: {error_message(raw)}"
        raise Unanswered(shown, unpaid=is_unpaid(raw))
    first = choices[0]
    if first.get("error"):
        raise Unanswered(f"an error in the answer: {str(first['error'])[:200]}")
    message = first.get("message")
    if not isinstance(message, dict):
        message = {"content": first.get("text", message)}
    word = first.get("finish_reason")
    reason = word.strip().lower() if isinstance(word, str) else ""
    if _FILTERED_WORD.search(reason):
        return _Said("", reason=reason, unusable=f"the endpoint ended it with {word!r}")
    return _read_message(message, reason)


def _read_message(message: Mapping[str, Any], reason: str) -> _Said:
    content = message.get("content")
    if len(message) == 1 and isinstance(content, str):  # a completion has nothing else
        return _Said(_storable(content), reason=reason)
    text, apart, refusal = _parts(content)
    for name in ("reasoning_content", "reasoning"):
        if not apart and isinstance(message.get(name), str):
            apart = message[name]
    said = message.get("refusal")
    refusal = said if isinstance(said, str) and said else refusal
    reasoning = f"<think>{apart}</think>" if apart else ""
    if text is None and apart and _met_limit(reason):
        return _Said("", _storable(reasoning), reason)
    if refusal and not text:
        return _Said("", reason=reason, unusable=f"the model refused: {_storable(refusal)[:200]}")
    if text is None:
        return _Said("", reason=reason, unusable="the answer has no text")
    return _Said(_storable(text), _storable(reasoning), reason)


def _parts(content: object) -> tuple[str | None, str, str]:
    """Return (text, reasoning, refusal) of a content: text, a list of parts, or something else."""
    if isinstance(content, str):
        return content, "", ""
    parts = content if isinstance(content, list) else [content]
    texts, apart, refused = [], "", ""
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        if not isinstance(part, Mapping):
            continue
        kind = str(part.get("type", "text"))
        if kind in ("text", "output_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("thinking", "reasoning"):
            apart += str(part.get("thinking") or part.get("text") or "")
        elif kind == "refusal":
            refused = str(part.get("refusal") or "refused")
    return "".join(texts) if texts else None, apart, refused


def _storable(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates, which JSON escapes can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


def _in_form(text: str, sampling: Sampling) -> str | None:
    """Return the text in the form that was asked for, or None.

    Of a JSON schema only the JSON is checked here: a server that does not know
    ``response_format`` ignores it and writes prose.
    """
    if sampling.choices:
        return read_choice(text, sampling.choices)
    if sampling.regex:
        tries = (text, text.strip())
        return next((form for form in tries if re.fullmatch(sampling.regex, form)), None)
    bare = _unfenced(text)
    return bare if _is_json(bare) else None


def read_choice(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a text names, or None where it names none or several.

    Read are the choice itself, in other letters, quotes or with a dot (`` 1.``), as the value of a
    JSON object, before a remark, and as the only one in the last line.
    """
    if text in choices:
        return text
    bare = _unfenced(text)
    if bare.startswith("{") and _is_json(bare):
        values = [str(value) for value in dict(json.loads(bare)).values()]
        return read_choice(values[0], choices) if len(values) == 1 else None
    by_name = {choice.strip().casefold(): choice for choice in choices}
    lines = [line for line in bare.splitlines() if line.strip()] or [""]
    for line in (lines[0], lines[-1]):
        name = line.strip(" \t\"'`*_.!()[]").casefold()
        if name in by_name:
            return by_name[name]
    pattern = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True) if name)
    if not pattern:
        return None
    opening = re.match(rf"[\s\"'`*_(\[]*({pattern})(?=[\"'`*_)\].,:;-])", lines[0], re.I)
    if opening:
        return by_name[opening[1].casefold()]
    named = {name.casefold() for name in re.findall(rf"(?<!\w)({pattern})(?!\w)", lines[-1], re.I)}
    return by_name[named.pop()] if len(named) == 1 else None


def _unfenced(text: str) -> str:
    fenced = re.fullmatch(r"\s*```\w*\n(.*?)\n?```\s*", text, re.DOTALL)
    return fenced[1].strip() if fenced else text.strip()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def failed(request: Request, reason: str, read: int = 0, written: int = 0) -> Completion:
    """Return a completion without text that says why; asking again may give a text."""
    return Completion(request.id, "", "error", read, written, error=reason)


def unusable(request: Request, reason: str, read: int, written: int) -> Completion:
    """Return the completion of an unusable answer; asking again gives the same."""
    return Completion(request.id, "", "error", read, written, error=reason, unusable=True)


def _usage(value: Mapping[str, object]) -> tuple[int, int]:
    usage = value.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    read, written = counts.get("prompt_tokens"), counts.get("completion_tokens")
    return _count(read), _count(written)


def _count(value: object) -> int:
    """Return a count of tokens; 0 for what is none, such as a negative or an endless number."""
    return value if type(value) is int and 0 <= value < MOST_TOKENS else 0


def is_unpaid(raw: bytes, *, in_words: bool = True) -> bool:
    """Return whether an error says that an account has no credit, in a code or ``in_words``."""
    try:
        value = _alone(json.loads(raw))
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, Mapping) or value.get("choices"):
        return False
    if in_words and _UNPAID_WORDS.search(error_message(raw)):
        return True
    error = value.get("error", value)
    if not isinstance(error, Mapping):
        return False
    codes = [error.get(name) for name in ("code", "type", "status")]
    return any(isinstance(code, int | str) and code in UNPAID for code in codes)


def serves_vllm(raw: bytes) -> bool:
    """Tell whether a list of models is that of vLLM's server."""
    try:
        models = json.loads(raw)["data"]
        return any(model.get("owned_by") == "vllm" for model in models)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


_ERROR_NAMES = ("error", "message", "detail", "errors", "msg")


def error_message(raw: bytes) -> str:
    """Return what the endpoint says about a refused request, at most 300 characters."""
    try:
        value = _alone(json.loads(raw))
        error = next(value[name] for name in _ERROR_NAMES if value.get(name))
        text = error.get("message") if isinstance(error, Mapping) else error
    except (ValueError, AttributeError, RecursionError, StopIteration):
        text = None
    shown = text if isinstance(text, str) else raw.decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in shown).split())[:300]
