"""Rows to text: the prompt, which no loss is taken on, and the completion.

``plain`` and ``alpaca`` are the templates of :mod:`refine_af.evaluation.prompts`: a model is asked
in the words that it was trained on. ``mix`` follows Self-Instruct (``prepare_for_finetuning.py``):
seven forms with an input, six without, in our own wording, the first of each being ``plain``.
"""

import re
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.randomness import uniform
from refine_af.contracts.records import Instance
from refine_af.engines.control_tokens import Turn, text_encoder
from refine_af.evaluation.prompts import render_prompt
from refine_af.sft.params import Template

MIX_WITH_INPUT = (
    "Instruction: {{ instruction }}\nInput: {{ input }}\nOutput:",
    "{{ instruction }}\nInput: {{ input }}\nOutput:",
    "{{ instruction }}\n\nInput: {{ input }}\n\nOutput:",
    "Task: {{ instruction }}\n\nInput: {{ input }}\n\nAnswer:",
    "{{ instruction }}\n\n{{ input }}\n\nOutput:",
    "{{ instruction }}\n{{ input }}\n\n",
    "Task: {{ instruction }}\n\n{{ input }}\n\n",
)
MIX_WITHOUT_INPUT = (
    "Instruction: {{ instruction }}\nOutput:",
    "{{ instruction }}\nOutput:",
    "{{ instruction }}\n\nOutput:",
    "Task: {{ instruction }}\n\nAnswer:",
    "{{ instruction }}\n\n",
    "Task: {{ instruction }}\n\n",
)

_FIELD_NAME = re.compile(r"\w+:")


@dataclass(frozen=True, slots=True)
class TrainingText:
    """One row as text.

    Attributes:
        prompt: Up to where the answer starts, as at inference.
        completion: What the model shall write, without the end token (``chat`` ends by itself).
        turns: ``chat``: the question and the answer; the template's own words stand around them.
    """

    prompt: str
    completion: str
    turns: tuple[Turn, ...] = ()


def training_text(
    row: Instance,
    template: Template,
    seed: int,
    tokenizer: Any = None,  # noqa: ANN401  transformers is untyped
) -> TrainingText:
    """Return a row as prompt and completion.

    Args:
        row: With the instruction as first parent: the form of ``mix`` is drawn by it and the
            row's sample number, so that paired arms read an instruction in the same form.
        template: Which words stand around the row.
        seed: Of ``mix``.
        tokenizer: Needed for ``chat``.

    Raises:
        ParameterError: For ``chat`` with a tokenizer that has no chat template.
    """
    if template == "chat":
        return _chat(row, tokenizer)
    if template == "mix":
        return _mixed(row, seed)
    prompt = render_prompt(template, row.instruction, row.input)
    return TrainingText(prompt, _spaced(prompt, row.output))


def _spaced(prompt: str, output: str) -> str:
    """Return the completion: a blank comes first where the prompt ends in a field's name."""
    return f" {output.strip()}" if prompt.endswith(":") else output.strip()


def _mixed(row: Instance, seed: int) -> TrainingText:
    parent = row.parents[0] if row.parents else row.id
    input_text = row.input.strip()
    if uniform(seed, "sft-tidy", parent, row.sample) < 0.5:
        input_text = _tidied(input_text)
    forms = MIX_WITH_INPUT if input_text else MIX_WITHOUT_INPUT
    form = forms[int(uniform(seed, "sft-template", parent, row.sample) * len(forms))]
    # Jinja2 drops the last newline of a template, which here belongs to the prompt.
    prompt = render_prompt(f"{form}{{{{ '' }}}}", row.instruction, input_text)
    return TrainingText(prompt, _spaced(prompt, row.output))


def _tidied(input_text: str) -> str:
    """Return the input without its only field name and without blank lines."""
    names = set(_FIELD_NAME.findall(input_text))
    if len(names) == 1:
        input_text = input_text.replace(names.pop(), "").strip()
    return input_text.replace("\n\n", "\n")


def _chat(row: Instance, tokenizer: Any) -> TrainingText:  # noqa: ANN401
    if not getattr(tokenizer, "chat_template", None):
        raise ParameterError(
            "template is 'chat', but the model's tokenizer has no chat template; use plain,"
            " alpaca or mix, or a chat model"
        )
    request = f"{row.instruction.strip()}\n\n{row.input.strip()}".strip()
    turns = (
        {"role": "user", "content": request},
        {"role": "assistant", "content": row.output.strip()},
    )
    encoder = text_encoder(tokenizer)
    prompt = encoder.rendered(turns[:1], generation_prompt=True)
    whole = encoder.rendered(turns)
    if not whole.startswith(prompt):
        raise ParameterError(
            "template is 'chat', but the chat template of the model's tokenizer renders a question"
            " differently once it is answered, so training and inference would read different"
            " prompts; use plain, alpaca or mix"
        )
    return TrainingText(prompt, whole[len(prompt) :], turns)
