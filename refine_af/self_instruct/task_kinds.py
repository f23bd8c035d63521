"""Finds the classification instructions, whose instances are written output first."""

from collections.abc import Mapping, Sequence
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
        style: As for :func:`kinds_by_model`.
        engine: Likewise.
        seed: Likewise.
        by_likelihood: Likewise.
    """
    if split == "none":
        return {row.id: "input_first" for row in rows}
    instructions = {row.id: row.instruction for row in rows}
    kinds = kinds_by_model(instructions, style, engine, seed, by_likelihood=by_likelihood)
    return {row: "output_first" if kind else "input_first" for row, kind in kinds.items()}


def kinds_by_model(
    instructions: Mapping[str, str],
    style: "Style",
    engine: TextEngine,
    seed: int,
    *,
    by_likelihood: bool = True,
) -> dict[str, bool]:
    """Return by id whether the model takes an instruction for classification.

    Args:
        instructions: By id.
        style: Of the question.
        engine: Answers; a question that failed counts as no, as every answer but a yes does.
        seed: Of the requests; the answers are greedy.
        by_likelihood: Take the likelier of yes and no, from an engine that knows likelihoods.

    Source: Self-Instruct (arXiv 2212.10560), sections 2.2 and 2.3.
    """
    from refine_af.self_instruct.parse_instances import is_classification
    from refine_af.self_instruct.prompts import classification_prompt
    from refine_af.self_instruct.sampling import classification_sampling

    requests = [
        Request(row, classification_prompt(instruction, style), seed)
        for row, instruction in instructions.items()
    ]
    answers = engine.generate(requests, classification_sampling(style, by_likelihood=by_likelihood))
    return {
        row: is_classification(answer.text)
        for row, answer in zip(instructions, answers, strict=True)
    }
