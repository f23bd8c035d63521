"""Instances read as the published code reads them, for runs that repeat its rows.

Source: Self-Instruct, ``prepare_for_finetuning.py``. ``Example``, ``Output:`` and ``Class label:``
count anywhere, so an answer that holds one of these words is cut there.
:mod:`refine_af.self_instruct.parse_instances` counts them at the beginning of a line only.
"""

import re
from typing import TYPE_CHECKING

from refine_af.self_instruct.drafts import Draft

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Layout

_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_OUTPUT = re.compile(r"Output\s*\d*\s*:")
_INPUT = re.compile(r"Input\s*\d*\s*:")
_CLASS_LABEL = "Class label:"


def published_pairs(answer: str, layout: "Layout") -> list[Draft]:
    """Return the pairs of an answer in order; none where it holds none."""
    return _output_first(answer) if layout == "output_first" else _input_first(answer)


def _input_first(answer: str) -> list[Draft]:
    if _EXAMPLE.search(answer):
        return [_pair(text.strip()) for text in _EXAMPLE.split(answer) if text.strip()]
    return [_pair(answer)] if _OUTPUT.search(answer) else []


def _pair(text: str) -> Draft:
    """Split at ``Output:``; text without it is an output that needs no input."""
    before, *after = _OUTPUT.split(text)
    given, written = (before, after[0]) if after else ("", text)
    written = _INPUT.split(written)[0].strip()
    given = given.strip()
    opening = _INPUT.match(given)
    return Draft(given[opening.end() :].strip() if opening else given, written)


def _output_first(answer: str) -> list[Draft]:
    pairs = []
    for text in answer.split(_CLASS_LABEL)[1:]:
        label, _, given = text.strip().partition("\n")
        given = given.strip()
        opening = _INPUT.match(given)
        # ``Output:`` after a label is the answer to another question than the one that was asked.
        reason = "unparseable" if _OUTPUT.match(given) else None
        text = given[opening.end() :].strip() if opening else given
        pairs.append(Draft(text, label.strip(), reason))
    return pairs
