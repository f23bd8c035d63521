"""Prompts as template files: rows are values in them and can never become template code."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

Style = Literal["plain", "few_shot"]
TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # prompts are plain text; nothing renders them as HTML
        keep_trailing_newline=True,
    )


def render(name: str, **values: object) -> str:
    """Return the text of the template ``name`` (a file without ``.j2``)."""
    return _environment().get_template(f"{name}.j2").render(**values)


def template_digest(name: str) -> str:
    """Return the sha256 of a template's file, for provenance."""
    return hashlib.sha256((TEMPLATES / f"{name}.j2").read_bytes()).hexdigest()


def listed(instruction: str) -> str:
    """Return an instruction as a list shows it: white space collapsed, no colon at its end.

    Source: Self-Instruct, ``bootstrap_instructions.py``, ``encode_prompt``.
    """
    return " ".join(instruction.split()).rstrip(":")


def instructions_prompt(instructions: list[str]) -> str:
    """Return the numbered list that the model continues; it ends with the next number and a dot."""
    return render("instructions", instructions=[listed(text) for text in instructions])


def classification_prompt(instruction: str, style: Style) -> str:
    """Return the question whether a task has a small fixed set of labels."""
    name = "classification" if style == "plain" else "few_shot_classification"
    return render(name, instruction=instruction)


def instance_prompt(instruction: str, is_classification: bool, style: Style) -> str:
    """Return the prompt for instances: labels first for classification, inputs first otherwise.

    Labels come first there because input-first generation leans to one label (Self-Instruct,
    section 3.1).
    """
    order = "output_first" if is_classification else "input_first"
    name = f"instance_{order}" if style == "plain" else f"few_shot_{order}"
    return render(name, instruction=instruction)
