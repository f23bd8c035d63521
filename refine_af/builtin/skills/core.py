"""What a programmatic skill is, and the small template language of its instructions.

A template is plain text with ``{slot}``, ``[optional part]`` and ``(this|that)``.  The same text is
read in two directions: filled with random choices it gives an instruction, turned into a regular
expression it finds the slots of an instruction again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from refine_af.builtin import words

Slots = Mapping[str, str]
MakeInput = Callable[[Random, Slots], str]
Answer = Callable[[Slots, str], str | None]
Check = Callable[[Slots, str, str], bool]

CATEGORIES = (
    "Textual Entailment",
    "Cause Effect Classification",
    "Coreference Resolution",
    "Dialogue Act Recognition",
    "Answerability Classification",
    "Word Analogy",
    "Overlap Extraction",
    "Keyword Tagging",
    "Question Rewriting",
    "Title Generation",
    "Data to Text",
    "Grammar Error Correction",
)
HELD_OUT_PARAPHRASES = 2

_PART = re.compile(r"\{(\w+)\}|\[([^\]]*)\]|\(([^)]*)\)")

# Clauses that may stand round any instruction and do not change what is asked.
PREFIXES = (
    "Read carefully. ",
    "Here is a small task. ",
    "Try this one. ",
    "A quick exercise. ",
    "Take your time. ",
)
STEP_CLAUSES = (
    " Think before you answer.",
    " Check your answer twice.",
    " First read everything. Then answer.",
    " First make a plan. Then write the answer.",
    " Work step by step. Then give the answer.",
)
INPUT_CLAUSES = (
    " Choose an unusual input.",
    " Let the input be long.",
    " Use rare words in the input.",
    " Take an input that is hard.",
)
CONSTRAINTS = (
    " Keep it short.",
    " Do not explain.",
    " Give only the answer.",
    " No explanation is needed.",
    " Answer in one line.",
    " Write nothing else.",
    " Do not use quotation marks.",
    " Be exact.",
)
PURPOSES = tuple(f" It is for {person}." for person in words.PEOPLE)
SUFFIXES = (*CONSTRAINTS, *STEP_CLAUSES, *INPUT_CLAUSES, *PURPOSES)


def normalise(text: str) -> str:
    """Collapse white space and drop one final full stop, so that style does not count."""
    text = " ".join(text.split())
    return text[:-1].rstrip() if text.endswith(".") else text


def no_input(rng: Random, slots: Slots) -> str:
    """Make the empty input of an instruction that stands alone."""
    return ""


def _same_text(expected: str, output: str, exact_case: bool) -> bool:
    left, right = normalise(expected), normalise(output)
    return left == right if exact_case else left.casefold() == right.casefold()


def fill(template: str, slots: Slots, rng: Random) -> str:
    """Render one template: optional parts and alternatives by chance, slots as given."""

    def choose(match: re.Match[str]) -> str:
        slot, optional, either = match.groups()
        if slot is not None:
            return slots[slot]
        if optional is not None:
            return fill(optional, slots, rng) if rng.random() < 0.5 else ""
        return fill(rng.choice(either.split("|")), slots, rng)

    return _PART.sub(choose, template)


def _slot_pattern(name: str, values: Sequence[str]) -> str:
    # Long lists of single words are matched loosely and checked afterwards: far faster to compile.
    if len(values) > 30 and all(re.fullmatch(r"[A-Za-z]+", v) for v in values):
        return f"(?P<{name}>[A-Za-z]+)"
    ordered = sorted(values, key=len, reverse=True)
    return f"(?P<{name}>{'|'.join(map(re.escape, ordered))})"


def _pattern(template: str, values: Mapping[str, Sequence[str]]) -> str:
    out, end = [], 0
    for match in _PART.finditer(template):
        out.append(re.escape(template[end : match.start()]))
        slot, optional, either = match.groups()
        if slot is not None:
            out.append(_slot_pattern(slot, values[slot]))
        elif optional is not None:
            out.append(f"(?:{_pattern(optional, values)})?")
        else:
            out.append(f"(?:{'|'.join(_pattern(e, values) for e in either.split('|'))})")
        end = match.end()
    return "".join([*out, re.escape(template[end:])])


def longest_literal(template: str) -> str:
    """Return the longest text that every rendering of the template contains."""
    return max(_PART.split(template)[:: _PART.groups + 1], key=len)


@dataclass(frozen=True)
class Skill:
    """One task kind whose right answer is computed.

    The last ``HELD_OUT_PARAPHRASES`` templates never occur in training; a ``held_out`` skill occurs
    in none at all.
    """

    name: str
    category: str
    templates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]
    make_input: MakeInput
    answer: Answer
    is_classification: bool = False
    labels: tuple[str, ...] = ()
    held_out: bool = False
    exact_case: bool = False
    checker: Check | None = None
    allowed: Callable[[Slots], bool] | None = None
    write: Callable[[Random, Slots, str], str] | None = None

    @property
    def trained_templates(self) -> tuple[str, ...]:
        """Templates that the training corpus may use."""
        return () if self.held_out else self.templates[:-HELD_OUT_PARAPHRASES]

    @property
    def held_out_templates(self) -> tuple[str, ...]:
        """Templates that only evaluation may use."""
        return self.templates if self.held_out else self.templates[-HELD_OUT_PARAPHRASES:]

    def draw_slots(self, rng: Random) -> dict[str, str]:
        """Draw one value for every slot until the skill allows the combination."""
        while True:
            slots = {name: rng.choice(values) for name, values in self.slots.items()}
            if self.allowed is None or self.allowed(slots):
                return slots

    def check(self, slots: Slots, text: str, output: str) -> bool:
        """Say whether the output is right for this input; wrong input forms are never right."""
        expected = self.answer(slots, text)
        if expected is None:
            return False
        if self.checker is not None:
            return self.checker(slots, text, output)
        return _same_text(expected, output, self.exact_case)

    def right_output(self, rng: Random, slots: Slots, text: str) -> str:
        """Write a right output; open tasks vary it by chance, others have just one."""
        if self.write is not None:
            return self.write(rng, slots, text)
        expected = self.answer(slots, text)
        if expected is None:
            raise ValueError(f"skill {self.name} made an input that it cannot answer: {text!r}")
        return expected

    @cached_property
    def patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """One (literal that must occur, regular expression) per template."""
        return tuple(
            (longest_literal(t), re.compile(_pattern(t, self.slots))) for t in self.templates
        )

    def read(self, instruction: str) -> tuple[int, dict[str, str]] | None:
        """Return the template number and the slots of an instruction without outer clauses."""
        for number, (literal, pattern) in enumerate(self.patterns):
            if literal not in instruction:
                continue
            match = pattern.fullmatch(instruction)
            if match is None:
                continue
            found = {k: v for k, v in match.groupdict().items() if v is not None}
            if all(found[name] in self.slots[name] for name in found):
                return number, found
        return None
