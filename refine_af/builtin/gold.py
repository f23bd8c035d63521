"""The gold scorer: whether an instance is right. No reward may use it."""

from __future__ import annotations

from refine_af.builtin.skills.registry import recognise


def gold_score(instruction: str, input_text: str, output: str) -> float | None:
    """Score one instance by computing the answer.

    Returns:
        1.0 for a right output, 0.0 for a wrong one or an input that is not of the task's form,
        None when the instruction is not one of the programmatic skills.
    """
    found = recognise(instruction)
    if found is None:
        return None
    return float(found.skill.check(found.slots, " ".join(input_text.split()), output))


def is_classification(instruction: str) -> bool | None:
    """Say whether the instruction has a fixed set of labels; None when it is not recognised."""
    found = recognise(instruction)
    return None if found is None else found.skill.is_classification
