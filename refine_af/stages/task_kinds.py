"""Which instructions ask for a class label, and so have their instances written output first."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from refine_af.contracts.records import Instruction
from refine_af.contracts.stage import Journal, Progress
from refine_af.engines.text import Request, TextEngine
from refine_af.self_instruct.instance_form import Split
from refine_af.stages.generation import refuse_silence

if TYPE_CHECKING:
    from refine_af.self_instruct.prompts import Layout, Style

_NAME = "kinds"


def layouts(
    rows: Sequence[Instruction],
    split: Split,
    style: "Style",
    engine: Callable[[], TextEngine],
    seed: int,
    journal: Journal,
    progress: Progress,
) -> "dict[str, Layout]":
    """Return the layout of each instruction's instances by its id, as the model says.

    ``train_ppo`` and ``generate_instances`` both ask here, so that the prompts that PPO trains on
    are those that are asked later. The answers are kept: a run that goes on has the same prompts.

    Args:
        rows: The instructions.
        split: ``none`` asks nothing and gives every instruction ``input_first``.
        style: Of the question.
        engine: Returns who answers; called only where something is to be asked.
        seed: Of the requests; the answers are greedy.
        journal: Where the answers are kept.
        progress: Where questions that failed are counted; such a row is taken for no
            classification, as every answer but a yes is.

    Raises:
        DataError, DependencyError: No question was answered, as :func:`refuse_silence`.

    Source: Self-Instruct (arXiv 2212.10560), sections 2.2 and 2.3.
    """
    from refine_af.self_instruct.parse_instances import is_classification
    from refine_af.self_instruct.prompts import classification_prompt
    from refine_af.self_instruct.sampling import classification_sampling

    if split == "none":
        return {row.id: "input_first" for row in rows}
    stored = journal.read(_NAME)
    if stored is None:
        asked = [
            Request(row.id, classification_prompt(row.instruction, style), seed) for row in rows
        ]
        answers = engine().generate(asked, classification_sampling())
        refuse_silence(answers, journal, progress)
        flags = ("1" if is_classification(answer.text) else "0" for answer in answers)
        stored = "".join(flags).encode()
        journal.publish(_NAME, stored)
    return {
        row.id: "output_first" if flag == "1" else "input_first"
        for row, flag in zip(rows, stored.decode(), strict=True)
    }
