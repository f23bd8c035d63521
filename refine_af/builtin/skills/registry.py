"""All skills, and the inverse of their templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from refine_af.builtin.skills import lists, numbers, sentences, word_facts, writing
from refine_af.builtin.skills.core import PREFIXES, SUFFIXES, Skill

SKILLS: tuple[Skill, ...] = (
    *lists.SKILLS,
    *word_facts.SKILLS,
    *numbers.SKILLS,
    *sentences.SKILLS,
    *writing.SKILLS,
)
BY_NAME: dict[str, Skill] = {skill.name: skill for skill in SKILLS}
TRAINED: tuple[Skill, ...] = tuple(s for s in SKILLS if not s.held_out)
HELD_OUT: tuple[Skill, ...] = tuple(s for s in SKILLS if s.held_out)


@dataclass(frozen=True)
class Recognised:
    """What an instruction asks: the skill, the slots, and the number of the template."""

    skill: Skill
    slots: dict[str, str]
    template: int

    @property
    def held_out(self) -> bool:
        """Whether training never saw this wording."""
        return self.skill.templates[self.template] in self.skill.held_out_templates


def strip_clauses(instruction: str) -> str:
    """Take off the clauses round an instruction that do not change what is asked."""
    text = " ".join(instruction.split())
    changed = True
    while changed:
        changed = False
        for prefix in PREFIXES:
            if text.startswith(prefix):
                text, changed = text[len(prefix) :], True
        for suffix in SUFFIXES:
            if text.endswith(suffix):
                text, changed = text[: -len(suffix)], True
    return text


@lru_cache(maxsize=65536)
def recognise(instruction: str) -> Recognised | None:
    """Find the skill and the slots of an instruction; None when no template gives it."""
    text = strip_clauses(instruction)
    for skill in SKILLS:
        found = skill.read(text)
        if found is not None:
            return Recognised(skill, found[1], found[0])
    return None
