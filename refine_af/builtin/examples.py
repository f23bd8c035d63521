"""Instances of skills: an instruction, an input, a right output, and wrong outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from refine_af.builtin.randomness import rng_for
from refine_af.builtin.skills import lists, sentences
from refine_af.builtin.skills.core import CONSTRAINTS, PREFIXES, PURPOSES, STEP_CLAUSES, Skill, fill
from refine_af.builtin.skills.registry import TRAINED


@dataclass(frozen=True)
class Example:
    """One right instance; ``template`` is the number of the wording within the skill."""

    skill: Skill
    slots: dict[str, str]
    template: int
    instruction: str
    input: str
    output: str


def _weight(skill: Skill) -> float:
    # Copying and rewriting need many examples to be learned, small tables of facts need few.
    return 1.5 if skill in lists.SKILLS or skill in sentences.SKILLS else 0.8


_WEIGHTS = tuple(_weight(skill) for skill in TRAINED)


def draw_skill(rng: Random) -> Skill:
    """Draw a trained skill; those that are harder to learn come more often."""
    return rng.choices(TRAINED, _WEIGHTS)[0]


def decorate(rng: Random, instruction: str) -> str:
    """Put at times a clause before or behind the instruction that does not change the task."""
    if rng.random() < 0.08:
        instruction = rng.choice(PREFIXES) + instruction
    if rng.random() < 0.25:
        clauses: Sequence[str] = rng.choice((CONSTRAINTS, STEP_CLAUSES, PURPOSES))
        instruction += rng.choice(clauses)
    return instruction


def draw_instruction(rng: Random, skill: Skill, held_out: bool = False) -> tuple[str, int]:
    """Write one instruction of the skill and return it with the number of its template."""
    text, number, _ = _draw_worded(rng, skill, held_out)
    return text, number


def _draw_worded(rng: Random, skill: Skill, held_out: bool) -> tuple[str, int, dict[str, str]]:
    allowed = skill.held_out_templates if held_out else skill.trained_templates
    template = rng.choice(allowed)
    slots = skill.draw_slots(rng)
    text = fill(template, slots, rng)
    return decorate(rng, text), skill.templates.index(template), slots


def draw_example(rng: Random, skill: Skill, held_out: bool = False) -> Example:
    """Write one right instance in a trained wording, or in a held-out one."""
    instruction, template, slots = _draw_worded(rng, skill, held_out)
    text = skill.make_input(rng, slots)
    return Example(skill, slots, template, instruction, text, skill.right_output(rng, slots, text))


def _near_miss(rng: Random, output: str) -> str:
    found = output.split()
    kind = rng.randrange(3)
    if kind == 0 and len(found) > 1:
        found.pop(rng.randrange(len(found)))
    elif kind == 1 and len(found) > 1:
        i, j = rng.sample(range(len(found)), 2)
        found[i], found[j] = found[j], found[i]
    else:
        found[rng.randrange(len(found))] = rng.choice(lists.NOUN_SLOT)
    return " ".join(found)


def wrong_output(rng: Random, example: Example) -> str:
    """Write an output that the checker rejects: another label, another input's, or a near miss."""
    skill = example.skill
    for _ in range(50):
        kind = rng.random()
        if skill.is_classification and kind < 0.8:
            output = rng.choice(skill.labels)
        elif kind < 0.5:
            other = skill.draw_slots(rng)
            output = skill.right_output(rng, other, skill.make_input(rng, other))
        elif kind < 0.85:
            output = _near_miss(rng, example.output)
        else:
            output = draw_example(rng, draw_skill(rng)).output
        if not skill.check(example.slots, example.input, output):
            return output
    return "none"


def training_instructions(seed: int = 0, each: int = 1) -> list[str]:
    """Render every trained template: the pool that generated instructions are compared with."""
    found = []
    for skill in TRAINED:
        for number, template in enumerate(skill.trained_templates):
            for copy in range(each):
                rng = rng_for(seed, "pool", skill.name, number, copy)
                found.append(fill(template, skill.draw_slots(rng), rng))
    return found
