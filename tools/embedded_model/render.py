"""The exact texts in which the pipelines talk to the model, and documents made of them.

A document is a tuple of (text, loss weight): the prompt of an instance weighs little, what only
stands in a list to be continued weighs nothing, an answer weighs most.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from refine_af.builtin import words
from refine_af.builtin.examples import (
    Example,
    decorate,
    draw_example,
    draw_instruction,
    draw_skill,
    wrong_output,
)
from refine_af.builtin.reward_model import CORRECT_QUESTION
from refine_af.builtin.skills.core import (
    CONSTRAINTS,
    INPUT_CLAUSES,
    PURPOSES,
    STEP_CLAUSES,
    Skill,
    fill,
)
from refine_af.builtin.skills.registry import BY_NAME, TRAINED

Document = tuple[tuple[str, float], ...]
LIST_HEADER = "Below is a varied list of tasks that a helpful assistant can do."
LIST_SIZE = 16
CLASSIFICATION_QUESTION = "Is this a classification task, with a small fixed set of labels?"
BETTER_QUESTION = "Which answer is better?"
VALID_QUESTION = "Is task B a valid task that differs from task A?"
# What a pipeline writes as the prompt of a question is never a target: otherwise the model would
# learn to write wrong outputs and to ask questions where an instance is wanted.
_GIVEN = 0.0
_PROMPT, _INPUT, _OUTPUT, _LIST = 0.1, 0.5, 1.5, 0.8


def instance_prompt(instruction: str, input_text: str | None = None) -> str:
    """Return the prompt of an instance: up to its input, or up to its output when one is given."""
    if input_text is None:
        return f"Instruction: {instruction}\n"
    middle = f"Input: {input_text}\n" if input_text else ""
    return f"Instruction: {instruction}\n{middle}Output:"


def parse_instance(text: str) -> tuple[str, str] | None:
    r"""Read ``Input: ..\\nOutput: ..`` or ``Output: ..``; None when it has another form."""
    head, mark, output = text.strip().partition("Output:")
    if not mark or not output.strip() or "\n" in output.strip():
        return None
    if not head.strip():
        return "", output.strip()
    if not head.startswith("Input:") or "\n" in head.strip():
        return None
    return head[len("Input:") :].strip(), output.strip()


def judge_prompt(instruction: str, input_text: str, output: str) -> str:
    """Return the prompt of the correctness question."""
    answered = f"{instance_prompt(instruction, input_text)} {output}"
    return f"{answered}\nQuestion: {CORRECT_QUESTION}\nAnswer:"


def _instance(example: Example) -> Document:
    prompt = (f"Instruction: {example.instruction}\n", _PROMPT)
    if not example.input:
        return (prompt, (f"Output: {example.output}", _OUTPUT))
    return (prompt, (f"Input: {example.input}\n", _INPUT), (f"Output: {example.output}", _OUTPUT))


def input_first(rng: Random) -> Document:
    """Render an instance with its input before its output."""
    return _instance(draw_example(rng, draw_skill(rng)))


def output_first(rng: Random) -> Document:
    """Render an instance of a classification skill with its label before its input."""
    skill = rng.choice(CLASSIFICATION)
    example = draw_example(rng, skill)
    return (
        (f"Instruction: {example.instruction}\nClass label:", _GIVEN),
        (f" {example.output}\n", 1.0),
        (f"Input: {example.input}", 1.0),
    )


_FOREIGN_VERBS = (
    "Explain",
    "Describe",
    "Suggest",
    "Discuss",
    "Summarise",
    "Translate",
    "Imagine",
    "Design",
    "Create",
    "Convert",
    "Estimate",
    "Predict",
    "Organise",
    "Analyse",
    "Recommend",
    "Invent",
    "Prepare",
    "Review",
    "Draft",
    "Improve",
    "Collect",
    "Arrange",
)
_FOREIGN_FRAMES = (
    "{v} the {a} between {b} and {c} for {p}.",
    "{v} how {b} can be used near a {c}, and why.",
    "{v} a {a} about {b} in less than five sentences.",
    "What would {p} do with {b} and {c}? {v} it.",
    "Given some facts about {b}, {v} a {a} that {p} could follow.",
    "{v} {b}.",
    "Why is {b} important for {c}? Use examples.",
    "Please {v} this {a} so that {p} understands it.",
)
_FOREIGN_NOUNS = [
    "email",
    "poem",
    "budget",
    "recipe",
    "contract",
    "schedule",
    "difference",
    "report",
    "speech",
    "product",
    "website",
    "program",
    "history",
    "energy",
    "climate",
    "language",
    "travel",
    "money",
    "health",
    "exercise",
    "music",
    "science",
    "law",
    "school",
]


# The instructions of this project's seeds: what stands in the prompts of the bootstrap.
STRANGE: tuple[str, ...] = tuple(
    (Path(__file__).parent / "strange.txt").read_text(encoding="utf-8").splitlines()
)


def foreign_instruction(rng: Random) -> str:
    """Write an instruction of no skill: what other authors' seeds put into the prompt."""
    if rng.random() < 0.7:
        return rng.choice(STRANGE)
    verb = rng.choice(_FOREIGN_VERBS)
    frame = rng.choice(_FOREIGN_FRAMES)
    a, b, c = (rng.choice(_FOREIGN_NOUNS + list(words.NOUNS)) for _ in range(3))
    verb = verb if frame.startswith("{v}") else verb.lower()
    return frame.format(v=verb, a=a, b=b, c=c, p=rng.choice(words.PEOPLE))


def instruction_list(rng: Random) -> Document:
    """Render sixteen instructions of different skills, some strange ones among the first eight.

    The strange ones have no weight: the model meets them as context and never learns to write them.
    """
    skills = rng.sample(TRAINED, LIST_SIZE)
    strange = set(rng.sample(range(8), rng.choice((0, 0, 4, 6, 7, 8))))
    parts: list[tuple[str, float]] = [(LIST_HEADER + "\n", 0.1)]
    for number, skill in enumerate(skills, start=1):
        odd = number - 1 in strange
        text = foreign_instruction(rng) if odd else draw_instruction(rng, skill)[0]
        parts += [(f"{number}.", 0.4), (f" {text}", 0.0 if odd else _LIST), ("\n", 0.5)]
    return tuple(parts)


def classification_question(rng: Random) -> Document:
    """Render the question whether an instruction is a classification task."""
    skill = rng.choice(CLASSIFICATION) if rng.random() < 0.5 else draw_skill(rng)
    instruction = draw_instruction(rng, skill)[0]
    return (
        (f"Instruction: {instruction}\nQuestion: {CLASSIFICATION_QUESTION}\nAnswer:", _GIVEN),
        (" Yes" if skill.is_classification else " No", _OUTPUT),
    )


def correctness_question(rng: Random) -> Document:
    """Render the question whether an output is right."""
    example = draw_example(rng, draw_skill(rng))
    right = rng.random() < 0.5
    output = example.output if right else wrong_output(rng, example)
    return (
        (judge_prompt(example.instruction, example.input, output), _GIVEN),
        (" Yes" if right else " No", 2.0),
    )


def better_answer(rng: Random) -> Document:
    """Render the choice of the better of two answers."""
    example = draw_example(rng, draw_skill(rng))
    answers = [example.output, wrong_output(rng, example)]
    swapped = rng.random() < 0.5
    if swapped:
        answers.reverse()
    middle = f"Input: {example.input}\n" if example.input else ""
    return (
        (
            f"Instruction: {example.instruction}\n{middle}Answer A: {answers[0]}\n"
            f"Answer B: {answers[1]}\nQuestion: {BETTER_QUESTION}\nAnswer:",
            _GIVEN,
        ),
        (" B" if swapped else " A", 2.0),
    )


def valid_task(rng: Random) -> Document:
    """Render the question whether a rewritten task is a valid one and differs from the first."""
    skill = draw_skill(rng)
    task, other = draw_instruction(rng, skill)[0], draw_instruction(rng, draw_skill(rng))[0]
    kind = rng.choice(("other", "other", "same", "broken"))
    if kind == "same":
        other = task
    elif kind == "broken":
        found = other.split()
        rng.shuffle(found)
        other = " ".join(found[: max(2, len(found) // 2)])
    return (
        (f"Task A: {task}\nTask B: {other}\nQuestion: {VALID_QUESTION}\nAnswer:", _GIVEN),
        (" Yes" if kind == "other" and other != task else " No", _OUTPUT),
    )


HARDER: dict[str, str] = {
    "first_word": "nth_item",
    "last_word": "nth_item",
    "drop_last": "reverse_list",
    "first_two": "reverse_list",
    "larger_of_two": "smallest_of_three",
    "smaller_of_two": "smallest_of_three",
    "is_kind": "either_kind",
    "either_kind": "kind_of_word",
    "repeated_word": "shared_word",
    "extract_name": "change_name",
    "past_tense": "to_past",
    "extract_age": "make_record",
    "extract_city": "make_record",
    "record_field": "record_sentence",
    "is_question": "dialogue_act",
    "answerable": "answer_question",
    "negate": "yes_no_question",
    "use_in_sentence": "tiny_story",
    "name_one": "list_three",
    "he_or_she": "who_is_pronoun",
}
_GENERAL = {
    "list": ("list", "series", "collection"),
    "text": ("sentence", "line", "short text"),
    "word": ("word", "term"),
    "number": ("number", "value"),
}


def _concretise(rng: Random, skill: Skill) -> tuple[str, str]:
    template, slots = rng.choice(skill.trained_templates), skill.draw_slots(rng)
    choices = rng.getrandbits(32)
    general = {k: rng.choice(_GENERAL[k]) if _neutral(skill, k) else v for k, v in slots.items()}
    before, after = (fill(template, s, Random(choices)) for s in (general, slots))
    return (before, after) if before != after else (before, before + rng.choice(PURPOSES))


def _neutral(skill: Skill, slot: str) -> bool:
    return slot in _GENERAL and _GENERAL[slot][0] in skill.slots[slot]


def rewrite(rng: Random, operation: str) -> tuple[str, str]:
    """Draw an instruction and rewrite it by one operation of the TeaMs-RL kind."""
    skill = draw_skill(rng)
    if operation == "concretise":
        return _concretise(rng, skill)
    template = rng.choice(skill.trained_templates)
    task = fill(template, skill.draw_slots(rng), rng)
    if operation == "breadth":
        return decorate(rng, task), draw_instruction(rng, draw_skill(rng))[0]
    if operation == "deepen" and skill.name in HARDER:
        return task, draw_instruction(rng, BY_NAME[HARDER[skill.name]])[0]
    clauses = {
        "add constraint": CONSTRAINTS,
        "more reasoning steps": STEP_CLAUSES,
        "complicate input": INPUT_CLAUSES,
        "deepen": STEP_CLAUSES,
    }[operation]
    return task, task + rng.choice(clauses)


OPERATIONS = (
    "breadth",
    "add constraint",
    "deepen",
    "concretise",
    "more reasoning steps",
    "complicate input",
)


def rewrite_prompt(operation: str, instruction: str) -> str:
    """Return the prompt by which an operation rewrites an instruction."""
    return f"Operation: {operation}\nTask: {instruction}\nNew task:"


def rewriting(rng: Random) -> Document:
    """Render one rewriting of an instruction."""
    operation = rng.choice(OPERATIONS)
    task, new = rewrite(rng, operation)
    return ((rewrite_prompt(operation, task), _GIVEN), (f" {new}", 1.0))


CLASSIFICATION: tuple[Skill, ...] = tuple(s for s in TRAINED if s.is_classification)

# Form and its share of the documents: lists are about seven times as long as the others.
FORMS = (
    (input_first, 0.72),
    (output_first, 0.04),
    (instruction_list, 0.024),
    (classification_question, 0.03),
    (correctness_question, 0.08),
    (better_answer, 0.05),
    (valid_task, 0.025),
    (rewriting, 0.04),
)


def document(rng: Random) -> Document:
    """Draw one document of the corpus."""
    make = rng.choices([f for f, _ in FORMS], [share for _, share in FORMS])[0]
    return make(rng)
