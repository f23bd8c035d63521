"""The embedded evaluation tasks: held-out wordings and skills in the shape of SUPER-NI files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

from refine_af.builtin import PATHS
from refine_af.builtin.examples import Example, wrong_output
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.skills.core import Skill, fill
from refine_af.builtin.skills.registry import BY_NAME, HELD_OUT

INSTANCES = 20
# Two or three trained skills for every category, all with more than twenty possible inputs.
TRAINED_TASKS = (
    "contains_word",
    "is_kind",
    "claim_follows",
    "find_cause",
    "which_is_cause",
    "use_pronoun",
    "who_is_pronoun",
    "he_or_she",
    "dialogue_act",
    "sentiment",
    "answerable",
    "answer_question",
    "opposite",
    "synonym",
    "first_word",
    "last_word",
    "shared_word",
    "extract_name",
    "extract_city",
    "kind_of_word",
    "yes_no_question",
    "where_question",
    "what_question",
    "animal_title",
    "scene_title",
    "make_record",
    "count_items",
    "record_sentence",
    "plural",
    "negate",
    "to_past",
)


def _instance(skill: Skill, slots: dict[str, str], text: str, instruction: str) -> Example:
    answer = skill.answer(slots, text)
    if answer is None:
        raise ValueError(f"skill {skill.name} made an input that it cannot answer: {text!r}")
    return Example(skill, slots, 0, instruction, text, answer)


def _distinct(skill: Skill, rng: Random, count: int) -> list[Example]:
    template, slots = rng.choice(skill.held_out_templates), skill.draw_slots(rng)
    instruction = fill(template, slots, rng)
    found: dict[str, Example] = {}
    for _ in range(200 * count):
        text = skill.make_input(rng, slots)
        found.setdefault(text, _instance(skill, slots, text, instruction))
        if len(found) == count:
            return list(found.values())
    raise ValueError(f"skill {skill.name} has fewer than {count} inputs")


def _example(example: Example, output: str, why: str) -> dict[str, str]:
    return {"input": example.input, "output": output, "explanation": why}


def _identifier(name: str, text: str) -> str:
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def task(name: str, skill: Skill, seed: int) -> dict[str, Any]:
    """Make one task file; its definition is a wording that training never saw."""
    rng = rng_for(seed, "task", skill.name)
    first, second, third, *rest = _distinct(skill, rng, INSTANCES + 3)
    kind = "held-out skill" if skill.held_out else "held-out wording of a trained skill"
    return {
        "Contributors": ["REFINE-AF"],
        "Source": [f"refine_af.builtin: {kind} ({skill.name})"],
        "URL": [],
        "Categories": [skill.category],
        "Reasoning": [],
        "Definition": [first.instruction],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Instruction_language": ["English"],
        "Domains": ["Synthetic"],
        "Positive Examples": [
            _example(e, e.output, "This is the computed answer.") for e in (first, second)
        ],
        "Negative Examples": [
            _example(third, wrong_output(rng, third), "The checker of the task rejects this.")
        ],
        "Instances": [
            {"id": _identifier(name, e.input), "input": e.input, "output": [e.output]} for e in rest
        ],
        "Instance License": ["Apache-2.0"],
    }


def tasks(seed: int = 0) -> dict[str, dict[str, Any]]:
    """Make all evaluation tasks by file name without ending."""
    chosen = [*(BY_NAME[n] for n in TRAINED_TASKS), *(s for s in HELD_OUT if _enough(s, seed))]
    return {
        f"builtin{number:03d}_{skill.name}": task(f"builtin{number:03d}", skill, seed)
        for number, skill in enumerate(chosen, start=1)
    }


def _enough(skill: Skill, seed: int) -> bool:
    try:
        _distinct(skill, rng_for(seed, "task", skill.name), INSTANCES + 3)
    except ValueError:
        return False
    return True


def write(folder: Path, seed: int = 0) -> None:
    """Write the task files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tasks(seed).items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    write(PATHS["tasks"])
