"""From a completion to input-output pairs, and the filters that a pair must pass.

Source: Self-Instruct, ``generate_instances.py`` and ``prepare_for_finetuning.py``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from refine_af.contracts.randomness import sample as draw
from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.engines.text import Completion
from refine_af.self_instruct.prompts import Style

STAGE_NAME = "generate_instances"

_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_NUMBERED_INPUT = re.compile(r"Input\s*\d*\s*:")
_LABEL = re.compile(r"Class label:")


@dataclass(frozen=True, slots=True)
class PairText:
    """One input (may be empty) and one output, stripped."""

    input: str
    output: str


def is_yes(answer: str) -> bool:
    """Tell whether the model called the task a classification; anything unclear is a no."""
    return answer.strip() in ("Yes", "yes", "YES")


def parse_plain(action: str) -> PairText | None:
    r"""Return the pair in ``Input: x\nOutput: y`` or ``Output: y``, or None for another form.

    This is the action of PPO, so the form is strict: text before ``Input:``, a second ``Input:``
    or ``Output:``, or an empty output is no instance.
    """
    head, marker, output = action.partition("Output:")
    if not marker or not output.strip() or "Output:" in output or "\nInput:" in output:
        return None
    head = head.strip()
    if not head:
        return PairText("", output.strip())
    if not head.startswith("Input:") or not head.removeprefix("Input:").strip():
        return None
    return PairText(head.removeprefix("Input:").strip(), output.strip())


def parse_input_first(text: str) -> list[PairText]:
    """Return the pairs of a completion of ``Example`` blocks, or of one ``Output:`` block.

    In a block, text before the first ``Output:`` is the input; a second ``Input:`` ends the
    output. A block without ``Output:`` is an output alone.
    """
    if _EXAMPLE.search(text):
        blocks = [block for block in _EXAMPLE.split(text) if block.strip()]
    elif "Output:" in text:
        blocks = [text]
    else:
        return []
    return [_block(block.strip()) for block in blocks]


def _block(block: str) -> PairText:
    head, marker, tail = block.partition("Output:")
    if not marker:
        return PairText("", block.strip())
    output = tail.partition("Input:")[0]
    found = _NUMBERED_INPUT.match(head.strip())
    head = head.strip()[found.end() :] if found else head
    return PairText(head.strip(), output.strip())


def parse_output_first(text: str, *, continues_label: bool) -> list[PairText]:
    """Return the pairs of ``Class label:`` blocks: first line the label, the rest the input.

    Args:
        text: The completion.
        continues_label: The prompt ended with ``Class label:``, so the text opens with a label.
    """
    whole = f"Class label:{text}" if continues_label else text
    if not _LABEL.search(whole):
        return []
    found = []
    for block in _LABEL.split(whole)[1:]:
        label, _, rest = block.strip().partition("\n")
        numbered = _NUMBERED_INPUT.match(rest.strip())
        rest = rest.strip()[numbered.end() :] if numbered else rest
        found.append(PairText(rest.strip(), label.strip()))
    return found


def instances_of(
    row: Instruction,
    completion: Completion,
    *,
    is_classification: bool,
    sample: int,
    style: Style,
    max_instances: int,
    seed: int,
) -> tuple[list[Instance], list[Rejected]]:
    """Return the usable instances of one completion, and what was dropped with its reason.

    Reasons: ``engine_error``, ``unparseable``, ``truncated`` (the last pair of a completion that
    was cut off), and those of :func:`filter_pairs`.
    """
    found = _Found(row, sample, is_classification)
    if completion.finish == "error":
        found.reject("engine_error", completion.error)
        return found.instances, found.rejected
    pairs = _parse(completion.text, is_classification, style)
    if completion.finish == "length" and pairs:
        cut = pairs.pop()
        found.reject("truncated", cut.output, "the completion ended by length")
    elif not pairs:
        found.reject("unparseable", completion.text)
    kept, dropped = filter_pairs(pairs, max_instances, seed, row.id, sample)
    for pair in kept:
        found.keep(pair)
    for pair, reason in dropped:
        found.reject(reason, pair.output, f"input: {pair.input}")
    return found.instances, found.rejected


def _parse(text: str, is_classification: bool, style: Style) -> list[PairText]:
    if is_classification:
        return parse_output_first(text, continues_label=style == "plain")
    if style == "few_shot":
        return parse_input_first(text)
    pair = parse_plain(text)
    return [] if pair is None else [pair]


Dropped = list[tuple[PairText, str]]


def filter_pairs(
    pairs: Sequence[PairText], max_instances: int, seed: int, *key: str | int
) -> tuple[list[PairText], Dropped]:
    """Return (kept, dropped with reason), the published filters in order.

    ``empty_output``; ``same_as_input``; ``ends_with_colon`` (input or output); ``duplicate``;
    ``conflicting`` (one non-empty input with two outputs drops every pair of the instruction);
    ``over_limit`` (more than ``max_instances``: which ones stay is drawn at random, in their
    order; the published code draws from an unordered set).
    """
    kept: list[PairText] = []
    dropped: Dropped = []
    for pair in pairs:
        reason = _broken(pair) or ("duplicate" if pair in kept else "")
        if reason:
            dropped.append((pair, reason))
        else:
            kept.append(pair)
    inputs = [pair.input for pair in kept if pair.input]
    if len(inputs) != len(set(inputs)):
        return [], dropped + [(pair, "conflicting") for pair in kept]
    chosen = set(draw(range(len(kept)), max_instances, seed, "instances-kept", *key))
    over = [(pair, "over_limit") for place, pair in enumerate(kept) if place not in chosen]
    return [pair for place, pair in enumerate(kept) if place in chosen], dropped + over


def _broken(pair: PairText) -> str:
    if not pair.output:
        return "empty_output"
    if pair.input == pair.output:
        return "same_as_input"
    if pair.input.endswith(":") or pair.output.endswith(":"):
        return "ends_with_colon"
    return ""


class _Found:
    """Collects rows of one completion."""

    def __init__(self, row: Instruction, sample: int, is_classification: bool) -> None:
        self._row = row
        self._sample = sample
        self._is_classification = is_classification
        self.instances: list[Instance] = []
        self.rejected: list[Rejected] = []

    def keep(self, pair: PairText) -> None:
        instance = Instance.make(
            self._row.id,
            self._row.instruction,
            pair.input,
            pair.output,
            is_classification=self._is_classification,
            sample=self._sample,
        )
        self.instances.append(instance)

    def reject(self, reason: str, text: str, detail: str = "") -> None:
        place = f"{self._sample}/{len(self.rejected)}"
        self.rejected.append(
            Rejected.make(
                STAGE_NAME, reason, text, (self._row.id,), place=place, detail=detail[:2000]
            )
        )
