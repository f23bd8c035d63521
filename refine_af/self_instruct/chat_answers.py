"""Reads instances as chat models write them: with labels in any format, or an answer alone."""

import re

from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.fences import code_blocks, inside, without_fence
from refine_af.self_instruct.list_items import is_chatter
from refine_af.self_instruct.prompts import Layout

_WORD = r"(class[ ]label|label|input|output|answer)[ \t]*\d*[ \t]*"
_LABEL = re.compile(
    rf"""^(?P<before>(?:[ \t\u00a0>\#-]|\*(?=[ \t]))*)
    (?:(?P<mark>[*_]{{0,3}}){_WORD}(?:(?P=mark)[ \t]*[:\uff1a]|[:\uff1a](?P=mark)?)
    |(?:(?<=\#)|(?<=\#[ ])|(?P<bold>\*\*)){_WORD}(?(bold)\*\*)[ \t\r]*$)""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
"""A label at the beginning of a line, as ``Input:``, ``**Output:**`` or ``### Answer:``; without a
colon alone in its line, as a heading or in bold."""

_IN_A_LINE = re.compile(r"\binput[ \t]*\d*[ \t]*[:\uff1a].*\boutput[ \t]*\d*[ \t]*[:\uff1a]", re.I)
_HEADING = re.compile(r"[ \t>#*_-]*+(?:(?:example|instance|pair)[ \t]*+\d*+)?[ \t:.*_-]*+", re.I)
"""A line between pairs: a rule, or such as ``**Example 2:**``."""
_SAME = {"answer": "output", "label": "class label"}
_Part = tuple[str, str]
"""A label's word and the text behind it."""


def parse_chat(answer: str, finish: Finish, layout: Layout) -> Draft:
    """Return the first pair of a chat model's answer, or one with the reason why it is unusable.

    An answer without any label is the output of a task that needs no input. Labels in a block of
    code, or indented, are text; one in another place than the form has it is ``ambiguous``.

    Args:
        answer: What the model wrote.
        finish: ``length`` means that the answer was cut off.
        layout: ``output_first`` needs a class label and an input.
    """
    if not is_readable(answer):
        return Draft("", readable(answer), "unreadable")
    before, parts = _labelled(without_fence(answer))
    names = [name for name, _ in parts]
    texts = dict(reversed(parts[:2]))
    if len(parts) > 2:
        texts[names[1]] = _without_heading(texts[names[1]])
    if layout == "output_first":
        given, output = texts.get("input"), texts.get("class label")
    else:
        given = texts.get("input", "")
        output = texts.get("output") if parts else answer.strip()
    if not output or given is None:
        return Draft(given or "", answer.strip(), "unparseable")
    if detail := _trouble(before, names, layout):
        return Draft("", answer.strip(), "ambiguous", detail)
    reason = "truncated" if finish == "length" else None
    return Draft("" if _says_none(given) else given, output, reason)


def _trouble(before: str, names: list[str], layout: Layout) -> str:
    """Return what stands where the form has it not, or an empty string.

    Behind a whole pair another one may begin, which is not read.
    """
    if not names:
        in_a_line = _IN_A_LINE.search(" ".join(before.split()))
        return "Input: and Output: inside a line" if in_a_line else ""
    before = _without_heading(before)
    if before and not is_chatter(before):
        return f"text before {names[0].capitalize()}:"
    whole = 1 if layout == "input_first" and names[0] == "output" else 2
    if names[1:whole] == ["output"] or layout == "output_first" or whole == 1:
        rest = names[whole:]
        another = whole == 2 and rest[:1] == names[:1]
        return (
            "" if another or not rest else f"{rest[0].capitalize()}: inside the {names[whole - 1]}"
        )
    return f"{names[1].capitalize()}: inside the input"


def _labelled(answer: str) -> tuple[str, list[_Part]]:
    """Return what stands before the first label, and the labels with the text behind them."""
    blocks = code_blocks(answer, len(answer))
    marks = [mark for mark in _LABEL.finditer(answer) if not inside(blocks, mark.start())]
    widest = _indent(marks[0]) + 1 if marks else 0
    marks = [mark for mark in marks if _indent(mark) <= widest]
    ends = [mark.start() for mark in marks[1:]] + [len(answer)]
    parts = []
    for mark, end in zip(marks, ends, strict=False):
        name = (mark[3] or mark[5]).lower()
        parts.append((_SAME.get(name, name), _bare(answer[mark.end() : end], mark["mark"] or "")))
    return answer[: marks[0].start()] if marks else answer, parts


def _without_heading(text: str) -> str:
    """Return the text without the lines at its end that only part it from another pair."""
    lines = text.rstrip().split("\n")
    while lines and _HEADING.fullmatch(lines[-1].strip()):
        lines.pop()
    return "\n".join(lines).strip()


def _indent(mark: re.Match[str]) -> int:
    before = mark["before"]
    return len(before) - len(before.lstrip(" \t\u00a0"))


def _bare(text: str, mark: str) -> str:
    """Return the text without blanks, the end of its label's emphasis, and quotes around all."""
    text = text.strip()
    if mark and text.endswith(mark) and text.count(mark) % 2:
        text = text.removesuffix(mark).rstrip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text


def _says_none(given: str) -> bool:
    return given.lower().strip(" .()[]<>") in ("none", "n/a", "no input", "noinput")
