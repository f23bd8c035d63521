"""How a task becomes a prompt. A template is a file; users may bring their own.

A template sees ``instruction`` (a task's definition or a data row's instruction) and ``input``,
both stripped, and the filter ``closed``, which ends a text with punctuation. Fine-tuning and
evaluation must use the same one: a mismatch is measured as a worse model.
"""

import string
from functools import cache
from pathlib import Path

from jinja2 import Template, TemplateError

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.params import shown
from refine_af.contracts.templates import sandbox

TEMPLATES = Path(__file__).parent / "templates"

NAMES = ("tk_instruct", "plain", "alpaca", "bare")
"""The templates that come with the package."""


def render_prompt(template: str, instruction: str, input_text: str) -> str:
    """Return the prompt, up to where the model's answer starts.

    Args:
        template: One of :data:`NAMES`, or the text of a Jinja2 template (anything with ``{{``).
        instruction: What to do.
        input_text: What to do it to; may be empty.

    Raises:
        ParameterError: For an unknown name or a template that cannot be rendered.
    """
    try:
        return _compiled(_source(template)).render(
            instruction=instruction.strip(), input=input_text.strip()
        )
    except TemplateError as error:
        raise ParameterError(
            f"prompt is {shown(template)}; {error}; a template may use 'instruction' and 'input'"
        ) from None


def closed(text: str) -> str:
    """Return ``text`` with a dot added unless it ends with ASCII punctuation.

    Source: Tk-Instruct, ``ni_collator.py``. An empty text becomes a dot there too, because the
    test looks at the last character of the whole line, the blank behind "Input:".
    """
    return text if text and text[-1] in string.punctuation else f"{text}."


@cache
def _source(template: str) -> str:
    if "{{" in template:
        return template
    if template not in NAMES:
        hint = nearest(template, list(NAMES))
        raise ParameterError(
            f"prompt is {shown(template)}; it must be one of: {', '.join(NAMES)},"
            f" or the text of a Jinja2 template.{hint}"
        )
    return (TEMPLATES / f"{template}.j2").read_text(encoding="utf-8")


@cache
def _compiled(source: str) -> Template:
    environment = sandbox()
    environment.filters["closed"] = closed
    return environment.from_string(source.removesuffix("\n"))  # a file's last line ends with one
