"""Parses an answer into input-output pairs, with a reason for each that is dropped.

Source: Self-Instruct, sections 2.3 and 2.4, ``identify_clf_or_not.py`` and
``prepare_for_finetuning.py``. Differences: the reference takes a random five of an unordered set,
we keep the order of arrival and choose by counter-based randomness; its labels count anywhere in an
answer, ours at the beginning of a line (:mod:`refine_af.self_instruct.parse_published` reads as the
reference does).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from refine_af.contracts.randomness import sample
from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.parse_published import published_pairs

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Layout  # loads Jinja2, which this does not use

MAX_INSTANCES = 5

REASONS = (
    "unparseable",
    "ambiguous",
    "truncated",
    "unreadable",
    "same_as_input",
    "empty_output",
    "ends_with_colon",
    "conflicting_outputs",
    "duplicate",
    "over_limit",
)

_LABEL = re.compile(
    r"""\n([ \t]*+)(?:\#{1,4}+[ ]|>[ ]?+)?+[*_]{0,2}+
    (Input|INPUT|Output|OUTPUT|Example|EXAMPLE|Class[ ][Ll]abel|CLASS[ ]LABEL)
    [ \t]*+(?:\#?\d{1,2}+)?+[*_]{0,2}+[ \t]*+
    (?:([:.])[*_]{0,2}+|(?=\n|\Z))[ \t]*+""",
    re.VERBOSE,
)
"""A label at the beginning of a line, such as ``Input:``, ``**Output 2:**`` or ``Example 1``."""
_NAMES = {
    spelled: name
    for name in ("input", "output", "example", "class label")
    for spelled in (name.capitalize(), name.upper(), name.title())
}
_OTHER_TASK = re.compile(r"[*_#\s]*Task\s*:")
"""How an answer begins that goes on with a task of its own."""


def is_classification(answer: str) -> bool:
    """Return whether the answer says yes; anything else, also nothing, is no (as published)."""
    return answer.strip() in ("Yes", "yes", "YES")


def parse_plain(answer: str) -> Draft | None:
    """Return the one pair of an ``Input: x`` / ``Output: y`` answer, or None.

    None where there is no ``Output:``, where the output is empty, or where a character could not
    be stored. For prompts without worked tasks: unlike :func:`parse_instances` the word
    ``Example`` does not split the answer, and a second ``Input:`` ends the pair.
    """
    labels = _labels(answer, ("input", "output"))
    if not labels or not is_readable(answer):
        return None
    pair = _block(answer, 0, len(answer), labels)
    return pair if pair.output and pair.reason != "unparseable" else None


def parse_instances(
    answer: str, finish: Finish, layout: "Layout", *, published: bool = False
) -> list[Draft]:
    """Return the pairs of an answer in order; never none: one ``unparseable`` stands for that.

    Args:
        answer: What the model wrote, after the part that the prompt already held
            (:func:`refine_af.self_instruct.prompts.answer_opening`).
        finish: ``length`` drops the last pair, which was cut off.
        layout: ``input_first`` reads ``Example k`` blocks with ``Output:``, or a single pair;
            ``output_first`` reads ``Class label:`` lines, each followed by its input, with or
            without the word ``Input:``.
        published: Read as :mod:`refine_af.self_instruct.parse_published`. Otherwise labels count
            at the beginning of a line, in the place where the form has them; a pair with one in
            another place is ``ambiguous``.
    """
    answer = answer.strip()
    if published:
        pairs = published_pairs(answer, layout)
    else:
        pairs = _output_first(answer) if layout == "output_first" else _input_first(answer)
    if not pairs:
        return [Draft("", readable(answer), "unparseable")]
    if finish == "length":
        pairs[-1] = replace(pairs[-1], reason="truncated")
    return pairs if is_readable(answer) else [_checked(pair) for pair in pairs]


_Label = tuple[str, int, int]
"""Name in lower case, where its line begins, where what it names begins."""


def _labels(text: str, names: Collection[str], indent: int | None = None) -> list[_Label]:
    """Return the labels in a text; only ``Example`` may stand without a colon, alone in a line.

    A label that is indented more than ``indent``, or else the first one, is text, such as in a
    docstring.
    """
    labels: list[_Label] = []
    # a literal in front of the pattern is found far sooner than the beginning of a line
    for match in _LABEL.finditer("\n" + text):
        blanks, spelled, end = match.groups()
        name = _NAMES[spelled]
        if name not in names or (end != ":" and name != "example"):
            continue
        width = len(blanks)
        if indent is None:
            indent = width + 1
        if width <= indent:
            begin, to = match.span()
            labels.append((name, begin, to - 1))
    return labels


def _input_first(answer: str) -> list[Draft]:
    if _OTHER_TASK.match(answer):
        return []
    labels = _labels(answer, ("example", "input", "output"))
    starts = [start for start, label in enumerate(labels) if label[0] == "example"]
    if not starts:
        return [_block(answer, 0, len(answer), labels)] if labels else []
    if any(label[0] == "output" for label in labels[: starts[0]]):
        starts.insert(0, -1)  # the first pair stands before the word
    drafts = []
    for start, after in zip(starts, [*starts[1:], len(labels)], strict=True):
        begin = labels[start][2] if start >= 0 else 0
        end = labels[after][1] if after < len(labels) else len(answer)
        if inner := labels[start + 1 : after]:
            drafts.append(_block(answer, begin, end, inner))
        elif text := answer[begin:end].strip():
            drafts.append(Draft("", text))
    return drafts


def _block(answer: str, start: int, end: int, labels: list[_Label]) -> Draft:
    """Return the pair between ``start`` and ``end``: ``Input:`` or nothing, then ``Output:``.

    Where a pair with an input is followed by another ``Input:``, the model has begun a pair more,
    which is not read. Any other label behind the output may as well be a part of it.
    """
    first, line, begin = labels[0]
    given, rest = start, labels[1:]
    if first != "output":
        if not any(name == "output" for name, _, _ in rest):
            return Draft("", answer[start:end].strip(), "unparseable", "Input: without Output:")
        if rest[0][0] != "output" or answer[start:line].strip():
            return Draft("", answer[start:end].strip(), "ambiguous", "Input: inside the input")
        given = begin
        _, line, begin = rest[0]
        del rest[0]
        if rest and rest[0][0] == "input":
            end, rest = rest[0][1], []
    text, written = answer[given:line].strip(), answer[begin:end].strip()
    if rest:
        return Draft(text, written, "ambiguous", f"{rest[0][0].capitalize()}: inside the output")
    return Draft(text, written)


def _output_first(answer: str) -> list[Draft]:
    labels = _labels(answer, ("class label",))
    if not labels:
        return []
    ends = [line for _, line, _ in labels[1:]] + [len(answer)]
    pairs = []
    for (_, _, begin), end in zip(labels, ends, strict=True):
        label, _, given = answer[begin:end].strip().partition("\n")
        pairs.append(_labelled(label.strip(), given.strip()))
    return pairs


def _labelled(label: str, given: str) -> Draft:
    if "put" not in given and "PUT" not in given:
        return Draft(given, label)
    inner = _labels(given, ("input", "output"), indent=1)
    if inner and inner[0][0] == "input" and inner[0][1] == 0:
        given, inner = given[inner[0][2] :].strip(), inner[1:]
    if inner and inner[0][0] == "output" and inner[0][1] == 0:
        # it answers another question
        return Draft(given, label, "unparseable", "Output: behind a class label")
    if inner:
        return Draft(given, label, "ambiguous", f"{inner[0][0].capitalize()}: inside the input")
    return Draft(given, label)


def _checked(pair: Draft) -> Draft:
    if not (is_readable(pair.input) and is_readable(pair.output)):
        return Draft(readable(pair.input), readable(pair.output), pair.reason or "unreadable")
    return pair


def filter_instances(
    drafts: Sequence[Draft], seed: int, instruction_id: str, limit: int = MAX_INSTANCES
) -> list[Draft]:
    """Return all drafts of one instruction, in order, each dropped one with its reason.

    In the published order: single pairs; then all of them when one non-empty input has two
    outputs; then exact repeats; then all but ``limit``, chosen at random by ``seed`` and
    ``instruction_id`` and left in order.
    """
    judged = [replace(draft, reason=draft.reason or _broken_rule(draft)) for draft in drafts]
    if _conflicting(judged):
        return [replace(draft, reason=draft.reason or "conflicting_outputs") for draft in judged]
    seen: set[tuple[str, str]] = set()
    for index, draft in enumerate(judged):
        if draft.reason is None:
            if (draft.input, draft.output) in seen:
                judged[index] = replace(draft, reason="duplicate")
            seen.add((draft.input, draft.output))
    standing = [index for index, draft in enumerate(judged) if draft.reason is None]
    if len(standing) <= limit:
        return judged
    chosen = sample(standing, limit, seed, "instances-kept", instruction_id)
    for index in set(standing) - set(chosen):
        judged[index] = replace(judged[index], reason="over_limit")
    return judged


def _broken_rule(draft: Draft) -> str | None:
    if draft.input == draft.output:
        return "same_as_input"
    if not draft.output:
        return "empty_output"
    if draft.input.endswith(":") or draft.output.endswith(":"):
        return "ends_with_colon"
    return None


def _conflicting(drafts: Sequence[Draft]) -> bool:
    if len(drafts) < 2:
        return False
    outputs: dict[str, str] = {}
    standing = (draft for draft in drafts if draft.reason is None and draft.input)
    return any(outputs.setdefault(draft.input, draft.output) != draft.output for draft in standing)
