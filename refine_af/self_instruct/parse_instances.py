"""Parses an answer into input-output pairs, with a reason for each that is dropped.

Source: Self-Instruct, sections 2.3 and 2.4, ``identify_clf_or_not.py`` and
``prepare_for_finetuning.py``. Differences: the reference takes a random five of an unordered set,
we keep the order of arrival and choose by counter-based randomness; its labels count anywhere in an
answer, ours at the beginning of a line (:mod:`refine_af.self_instruct.parse_published` reads as the
reference does).
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from refine_af.contracts.randomness import sample
from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish
from refine_af.self_instruct.drafts import Draft
from refine_af.self_instruct.fences import code_blocks, inside
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


def _labels_of(*words: str) -> re.Pattern[str]:
    """Return a pattern that splits a text at labels such as ``Input:`` or ``**Output 2:**``.

    Labels stand at the beginning of a line; only ``Example`` may stand without a colon, alone in
    a line. Groups: the label as written, its indent, its word. The usual forms are tried first.
    """
    spelled = [spelling for word in words for spelling in (word, word.upper(), word.title())]
    first = "".join(word[0] for word in words)
    mark = r"[ \t]*+(?:\#?\d{1,2}+)?+[*_]{0,2}+[ \t]*+"
    return re.compile(
        rf"""(\n(?:(?=[{first}])|(?=[ \t#>*_])([ \t]*+)(?:\#{{1,4}}+[ ]|>[ ]?+)?+[*_]{{0,2}}+)
        ({"|".join(map(re.escape, dict.fromkeys(spelled)))})
        (?::|(?<![eE]){mark}:|(?<=[eE]){mark}(?:[:.]|(?=\n|\Z)))[*_]{{0,2}}+)""",
        re.VERBOSE,
    )


_INPUT_OUTPUT = _labels_of("Input", "Output")
_INPUT_OUTPUT_EXAMPLE = _labels_of("Input", "Output", "Example")
_CLASS_LABEL = _labels_of("Class label")
_INPUTS = frozenset(("Input", "INPUT"))
_OUTPUTS = frozenset(("Output", "OUTPUT"))
_EXAMPLES = frozenset(("Example", "EXAMPLE"))
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
    before, labels = _labels(answer, _INPUT_OUTPUT)
    if not labels or not is_readable(answer):
        return None
    pair = _pair(before, labels)
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
        first = layout == "output_first"
        pairs = _output_first(answer) if first else _input_first(answer, finish)
    if not pairs:
        return [Draft("", readable(answer), "unparseable")]
    if finish == "length":
        pairs[-1] = pairs[-1]._replace(reason="truncated")
    return pairs if is_readable(answer) else [_checked(pair) for pair in pairs]


_Label = tuple[str, str, str]
"""Word, label as written, text behind it up to the next label."""

_Block = tuple[str, str, list[_Label]]
"""An ``Example`` as written, the text up to its first label, and the labels."""


def _labels(text: str, pattern: re.Pattern[str]) -> tuple[str, list[_Label]]:
    """Return what stands before the first label, and the labels."""
    parts = _parts("\n" + text, pattern)
    labels = [(parts[at + 2], parts[at], parts[at + 3]) for at in range(1, len(parts), 4)]
    return parts[0], labels


def _parts(text: str, pattern: re.Pattern[str], widest: int | None = None) -> list[str]:
    """Return the text split at its labels: text, then label, indent, word and text of each.

    A label that is indented by more than ``widest`` characters, or else one more than the first,
    is text, such as in a docstring; so is one in a block of code.
    """
    parts: list[str] = pattern.split(text)
    indents = parts[2::4]  # None where there is none
    blocks = code_blocks(text, len(text) - len(parts[-1])) if "`" in text else ()
    if not blocks and not any(indents):
        return parts
    widest = len(indents[0] or "") + 1 if indents and widest is None else widest
    shallow, position = parts[:1], len(parts[0])
    for at, indent in enumerate(indents):
        written, _, word, behind = parts[4 * at + 1 : 4 * at + 5]
        if len(indent or "") <= (widest or 0) and not inside(blocks, position + 1):
            shallow += (written, indent, word, behind)
        else:
            shallow[-1] += written + behind
        position += len(written) + len(behind)
    return shallow


def _joined(before: str, labels: Sequence[_Label]) -> str:
    return (before + "".join([written + text for _, written, text in labels])).strip()


def _input_first(answer: str, finish: Finish) -> list[Draft]:
    if _OTHER_TASK.match(answer):
        return []
    before, labels = _labels(answer, _INPUT_OUTPUT_EXAMPLE)
    inner: list[_Label] = []
    blocks: list[_Block] = [("", before, inner)]
    for label in labels:
        if label[0] in _EXAMPLES:
            inner = []
            blocks.append((label[1], label[2], inner))
        else:
            inner.append(label)
    if len(blocks) == 1:
        return [_pair(before, labels)] if labels else []
    # a pair may stand before the first Example; anything else there is talk
    if not any(word in _OUTPUTS for word, _, _ in blocks[0][2]):
        del blocks[0]
    pairs: list[Draft] = []
    last = ""  # the Example before, where it has labels
    for written, before, inner in blocks:
        if inner:
            pairs.append(_pair(before, inner))
            last = written or "none"
        elif before.strip():
            cut_off = finish == "length" and inner is blocks[-1][2]
            if not last or cut_off or 0 < _number(written) == _number(last) + 1:
                pairs.append(Draft("", before.strip()))
                last = ""
            else:
                pairs[-1] = _with_example(pairs[-1], written + before)
                last = "none"
    return pairs


def _number(written: str) -> int:
    """Return the number of an ``Example``; -1 for none."""
    return int("".join(filter(str.isdecimal, written)) or -1)


def _with_example(pair: Draft, text: str) -> Draft:
    """Return a pair with an ``Example`` without labels, which may be a part of its output.

    One that has the next number is a pair of its own.
    """
    detail = "Example: inside the output"
    return Draft(pair.input, f"{pair.output}{text}".strip(), "ambiguous", detail)


def _pair(before: str, labels: Sequence[_Label]) -> Draft:
    """Return the pair of one block: ``Input:`` or nothing, then ``Output:``.

    Where a pair with an input is followed by another ``Input:``, the model has begun a pair more,
    which is not read. Any other label behind the output may as well be a part of it.
    """
    word, _, text = labels[0]
    given, rest = before, labels[1:]
    if word in _INPUTS:
        if not rest or rest[0][0] in _INPUTS or before.strip():
            return _without_place(before, labels)
        given, text, rest = text, rest[0][2], rest[1:]
        if rest and rest[0][0] in _INPUTS:
            rest = []
    if rest:
        detail = f"{rest[0][0].capitalize()}: inside the output"
        return Draft(given.strip(), _joined(text, rest), "ambiguous", detail)
    return Draft(given.strip(), text.strip())


def _without_place(before: str, labels: Sequence[_Label]) -> Draft:
    """Return the draft of a block whose ``Input:`` stands where the form has none."""
    text = _joined(before, labels)
    if any(word in _OUTPUTS for word, _, _ in labels):
        return Draft("", text, "ambiguous", "Input: inside the input")
    return Draft("", text, "unparseable", "Input: without Output:")


def _output_first(answer: str) -> list[Draft]:
    pairs = []
    for text in _parts("\n" + answer, _CLASS_LABEL)[4::4]:
        label, _, given = text.strip().partition("\n")
        label, given = label.rstrip(), given.lstrip()
        may_hold_label = ":" in given and ("put" in given or "PUT" in given)
        pairs.append(_labelled(label, given) if may_hold_label else Draft(given, label))
    return pairs


def _labelled(label: str, given: str) -> Draft:
    text = "\n" + given
    if opening := _INPUT_OUTPUT.match(text):
        if opening[3] in _OUTPUTS:  # it answers another question
            return Draft(given, label, "unparseable", "Output: behind a class label")
        text = text[opening.end() :]
        given = text.strip()
    words = _parts(text, _INPUT_OUTPUT, widest=1)[3::4] if "put" in text.lower() else []
    if words:
        return Draft(given, label, "ambiguous", f"{words[0].capitalize()}: inside the input")
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
    judged = [draft._replace(reason=draft.reason or _broken_rule(draft)) for draft in drafts]
    if _conflicting(judged):
        return [draft._replace(reason=draft.reason or "conflicting_outputs") for draft in judged]
    seen: set[tuple[str, str]] = set()
    for index, draft in enumerate(judged):
        if draft.reason is None:
            if (draft.input, draft.output) in seen:
                judged[index] = draft._replace(reason="duplicate")
            seen.add((draft.input, draft.output))
    standing = [index for index, draft in enumerate(judged) if draft.reason is None]
    if len(standing) <= limit:
        return judged
    chosen = sample(standing, limit, seed, "instances-kept", instruction_id)
    for index in set(standing) - set(chosen):
        judged[index] = judged[index]._replace(reason="over_limit")
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
