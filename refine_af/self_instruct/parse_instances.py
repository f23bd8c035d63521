"""From the model's answer to input-output pairs, with a reason for each that is dropped.

Source: Self-Instruct, sections 2.3 and 2.4, ``identify_clf_or_not.py`` and
``prepare_for_finetuning.py``. One difference: the reference takes a random five of an unordered
set, we keep the order of arrival and choose by counter-based randomness.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from refine_af.contracts.randomness import sample
from refine_af.contracts.readable import is_readable, readable
from refine_af.engines.text import Finish

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Layout  # loads Jinja2, which this does not use

MAX_INSTANCES = 5

REASONS = (
    "unparseable",
    "truncated",
    "unreadable",
    "same_as_input",
    "empty_output",
    "ends_with_colon",
    "conflicting_outputs",
    "duplicate",
    "over_limit",
)

_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_OUTPUT = re.compile(r"Output\s*\d*\s*:")
_INPUT = re.compile(r"Input\s*\d*\s*:")
_CLASS_LABEL = "Class label:"


@dataclass(frozen=True, slots=True)
class Draft:
    """One pair as the model wrote it, stripped.

    Attributes:
        input: May be empty.
        output: May be empty until the filters ran.
        reason: Why it is dropped, one of :data:`REASONS`; None while it stands.
    """

    input: str
    output: str
    reason: str | None = None


def is_classification(answer: str) -> bool:
    """Return whether the answer says yes; anything else, also nothing, is no (as published)."""
    return answer.strip() in ("Yes", "yes", "YES")


def parse_plain(answer: str) -> Draft | None:
    """Return the one pair of an ``Input: x`` / ``Output: y`` answer, or None.

    None where there is no ``Output:``, where the output is empty, or where a character could not
    be stored. For prompts without worked tasks: unlike :func:`parse_instances` the word
    ``Example`` does not split the answer.
    """
    if not _OUTPUT.search(answer) or not is_readable(answer):
        return None
    pair = _pair(answer.strip())
    return pair if pair.output else None


def parse_instances(answer: str, finish: Finish, layout: "Layout") -> list[Draft]:
    """Return the pairs of an answer in order; never none: one ``unparseable`` stands for that.

    Args:
        answer: What the model wrote, after the part that the prompt already held
            (:func:`refine_af.self_instruct.prompts.answer_opening`).
        finish: ``length`` drops the last pair, which was cut off.
        layout: ``input_first`` reads ``Example k`` blocks with ``Output:``, or a single pair;
            ``output_first`` reads ``Class label:`` lines, each followed by its input, with or
            without the word ``Input:``.
    """
    answer = answer.strip()
    pairs = _output_first(answer) if layout == "output_first" else _input_first(answer)
    if not pairs:
        return [Draft("", readable(answer), "unparseable")]
    if finish == "length":
        pairs[-1] = replace(pairs[-1], reason="truncated")
    return [_checked(pair) for pair in pairs]


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
    found = [replace(draft, reason=draft.reason or _broken_rule(draft)) for draft in drafts]
    if _conflicting(found):
        return [replace(draft, reason=draft.reason or "conflicting_outputs") for draft in found]
    seen: set[tuple[str, str]] = set()
    for place, draft in enumerate(found):
        if draft.reason is None:
            if (draft.input, draft.output) in seen:
                found[place] = replace(draft, reason="duplicate")
            seen.add((draft.input, draft.output))
    standing = [place for place, draft in enumerate(found) if draft.reason is None]
    if len(standing) <= limit:
        return found
    chosen = sample(standing, limit, seed, "instances-kept", instruction_id)
    for place in set(standing) - set(chosen):
        found[place] = replace(found[place], reason="over_limit")
    return found


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
