"""Finds the classification instructions, whose instances are written output first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refine_af.contracts.records import Instruction
from refine_af.engines.text import Request, TextEngine
from refine_af.self_instruct.instance_form import Split

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Layout, Style


def layouts(
    rows: Sequence[Instruction],
    split: Split,
    style: "Style",
    engine: TextEngine,
    seed: int,
    *,
    by_likelihood: bool = True,
) -> "dict[str, Layout]":
    """Return the layout of each instruction's instances by its id, as the model says.

    ``train_ppo`` and ``generate_instances`` both ask here, so that the prompts that PPO trains on
    are those that are asked later.

    Args:
        rows: The instructions.
        split: ``none`` asks nothing and gives every instruction ``input_first``.
        style: Of the question.
        engine: Answers; a question that failed counts as no, as every answer but a yes does.
        seed: Of the requests; the answers are greedy.
        by_likelihood: Take the likelier of yes and no, from an engine that knows likelihoods.

    Source: Self-Instruct (arXiv 2212.10560), sections 2.2 and 2.3.
    """
    from refine_af.self_instruct.parse_instances import is_classification
    from refine_af.self_instruct.prompts import classification_prompt
    from refine_af.self_instruct.sampling import classification_sampling

    if split == "none":
        return {row.id: "input_first" for row in rows}
    requests = [
        Request(row.id, classification_prompt(row.instruction, style), seed) for row in rows
    ]
    answers = engine.generate(requests, classification_sampling(style, by_likelihood=by_likelihood))
    return {
        row.id: "output_first" if is_classification(answer.text) else "input_first"
        for row, answer in zip(rows, answers, strict=True)
    }
