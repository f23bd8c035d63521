"""Prompts, rendered from the templates beside this module.

Templates are data: they run in Jinja2's sandbox, an undefined name is an error, and nothing is
escaped, since the reader is a model. The wording is our own; what is asked, and the form of the
answer, is Self-Instruct's (sections 2.1 to 2.3, tables 5 to 8).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import FileSystemLoader, Template, TemplateNotFound, UndefinedError

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.templates import sandbox

TEMPLATES = Path(__file__).parent / "templates"

Style = Literal["plain", "few_shot", "chat"]
"""``plain``: the bare instruction, for models trained on that form, as the embedded one is.
``few_shot``: worked tasks first, for base models. ``chat``: a request in words, for models tuned
to follow instructions, through their chat template."""

Layout = Literal["input_first", "output_first"]
"""Which part of an instance the model writes first. ``output_first`` (the class label, then an
input that has it) is for classification: input first leans to one label (section 2.3)."""

_INSTANCE_TEMPLATES: dict[tuple[Layout, Style], str] = {
    ("input_first", "plain"): "instance_input_first",
    ("output_first", "plain"): "instance_output_first",
    ("input_first", "few_shot"): "few_shot_input_first",
    ("output_first", "few_shot"): "few_shot_output_first",
    ("input_first", "chat"): "chat_input_first",
    ("output_first", "chat"): "chat_output_first",
}
_CLASSIFICATION_TEMPLATES: dict[Style, str] = {
    "plain": "classification",
    "few_shot": "few_shot_classification",
    "chat": "chat_classification",
}


def instructions_prompt(instructions: Sequence[str], style: Style = "plain") -> str:
    """Return a numbered list of ``instructions`` that ends with the next number and a dot.

    In style ``chat`` it is a request for as many more.

    White space in an instruction is collapsed and a colon at its end removed, as in the
    reference: a list item is one line, and a colon would ask for a continuation.
    """
    lines = [" ".join(text.split()).rstrip(":") for text in instructions]
    template = "chat_instructions" if style == "chat" else "instructions"
    return render(template, instructions=list(enumerate(lines, start=1)))


def classification_prompt(instruction: str, style: Style = "plain") -> str:
    """Return the question whether ``instruction`` has a small fixed set of answers."""
    return render(_CLASSIFICATION_TEMPLATES[style], instruction=instruction.strip())


def instance_prompt(instruction: str, layout: Layout, style: Style = "plain") -> str:
    """Return the request for instances of ``instruction``."""
    return render(instance_template(layout, style), instruction=instruction.strip())


def instance_template(layout: Layout, style: Style) -> str:
    """Return the name of the template that :func:`instance_prompt` uses."""
    return _INSTANCE_TEMPLATES[layout, style]


@cache
def answer_opening(layout: Layout, style: Style) -> str:
    """Return the beginning of the answer that a prompt already holds: its unfinished line.

    The parser needs it before the completion: ``Class label:`` for the plain output-first prompt,
    nothing for a prompt that ends with a newline. No template puts the instruction there, so one
    prompt tells for all.
    """
    return instance_prompt("Sort the words.", layout, style).rpartition("\n")[2]


def render(name: str, **values: object) -> str:
    """Return template ``name`` (its file without ``.j2``) filled with ``values``.

    Raises:
        ParameterError: For a template that is not there, or a value that it needs and lacks.
    """
    try:
        return _template(name).render(**values)
    except UndefinedError as error:
        raise ParameterError(f"template {name}: {error.message}; give that value") from None


@cache
def _template(name: str) -> Template:
    try:
        return sandbox(FileSystemLoader(TEMPLATES)).get_template(f"{name}.j2")
    except TemplateNotFound:
        known = sorted(path.stem for path in TEMPLATES.glob("*.j2"))
        raise ParameterError(f"template {name!r} is not one of: {', '.join(known)}") from None
