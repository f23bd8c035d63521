"""How a model is asked to answer: by ``generate_responses`` and by the frontier part."""

from refine_af.evolve.operators import Style, render

STOPS: dict[Style, tuple[str, ...]] = {
    "plain": ("\nInstruction:",),
    "instruct": ("\n### Instruction",),
}
"""Texts that end an answer: the model has begun another row of the form."""


def response_prompt(style: Style, instruction: str, given: str) -> str:
    """Return the prompt for an instruction and its input, which may be empty."""
    return render(f"respond_{style}", instruction=instruction, input=given)
