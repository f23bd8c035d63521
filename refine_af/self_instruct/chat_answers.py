"""Reads instances as chat models write them: with labels in any format, or an answer alone."""

import re

from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.prompts import Layout

_LABEL = re.compile(
    r"^[ \t>*_#-]*(class label|label|input|output|answer)[ \t]*\d*[ \t*_]*:[ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
"""A label at the beginning of a line, as ``Input:``, ``**Output:**`` or ``### Answer:``."""

_SAME = {"answer": "output", "label": "class label"}


def parse_chat(answer: str, finish: Finish, layout: Layout) -> Draft:
    """Return the first pair of a chat model's answer, or one with the reason why it is unusable.

    An answer without any label is the output of a task that needs no input.

    Args:
        answer: What the model wrote.
        finish: ``length`` means that the answer was cut off.
        layout: ``output_first`` needs a class label and an input.
    """
    if not is_readable(answer):
        return Draft("", readable(answer), "unreadable")
    parts = _labelled(answer)
    if layout == "output_first":
        given, output = parts.get("input"), parts.get("class label")
    else:
        given = parts.get("input", "")
        output = parts.get("output") if parts else answer.strip()
    if not output or given is None:
        return Draft(given or "", answer.strip(), "unparseable")
    reason = "truncated" if finish == "length" else None
    return Draft("" if _says_none(given) else given, output, reason)


def _labelled(answer: str) -> dict[str, str]:
    """Return the text behind the first of each label; none where a label comes again."""
    marks = list(_LABEL.finditer(answer))
    ends = [mark.start() for mark in marks[1:]] + [len(answer)]
    parts: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=False):
        name = mark[1].lower()
        name = _SAME.get(name, name)
        if name in parts:
            break
        parts[name] = answer[mark.end() : end].strip(' \t\n"*_')
    return parts


def _says_none(given: str) -> bool:
    return given.lower().strip(" .()[]<>") in ("none", "n/a", "no input", "noinput")
