"""Answers in the journal, keyed by their request, so that a changed prompt is asked again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from refine_af.engines.text import Completion, Request, Sampling

GRAMMARS = ("json_schema", "regex")
"""Fields of a sampling that are kept with a call only where they are used."""

_values = attrgetter(*(item.name for item in fields(Completion)))
"""All fields in their order; ``asdict`` takes ten times as long."""


def request_keys(requests: Iterable[Request], sampling: Sampling) -> list[str]:
    """Return what identifies each request: id, prompt, seed and sampling."""
    start = blake2b(repr(sampling).encode(), digest_size=16)
    keys = []
    for request in requests:
        digest = start.copy()
        text = f"{request.id}\0{request.seed}\0{request.prompt}"
        digest.update(text.encode("utf-8", "surrogatepass"))
        keys.append(digest.hexdigest())
    return keys


def dump_answers(answers: Mapping[str, Completion]) -> bytes:
    """Return answers by the key of their request as JSON; ASCII, so that any text survives."""
    return json.dumps({key: _values(answer) for key, answer in answers.items()}).encode()


def load_answers(data: bytes | None) -> dict[str, Completion]:
    """Return the answers of :func:`dump_answers`; none for None."""
    stored: dict[str, Sequence[Any]] = json.loads(data) if data else {}
    answers = {key: Completion(*values) for key, values in stored.items()}
    return {
        key: replace(answer, choice_logprobs=tuple(answer.choice_logprobs))
        if answer.choice_logprobs
        else answer
        for key, answer in answers.items()
    }


@lru_cache(maxsize=16)
def sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Return the fields by name; of the grammars only one that is used.

    A run has one or two samplings, and ``asdict`` copies them deeply.
    """
    return {
        name: value for name, value in asdict(sampling).items() if value or name not in GRAMMARS
    }
