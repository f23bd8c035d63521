"""Skills, their inverse, the gold scorer and the corpus: what the embedded model stands on."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from embedded_model import corpus, eval_tasks, render
from refine_af.builtin.examples import (
    decorate,
    draw_example,
    training_instructions,
    wrong_output,
)
from refine_af.builtin.gold import gold_score, is_classification
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.reward_model import CORRECT_QUESTION
from refine_af.builtin.skills.core import CATEGORIES, HELD_OUT_PARAPHRASES, Skill, fill
from refine_af.builtin.skills.registry import BY_NAME, HELD_OUT, SKILLS, TRAINED, recognise

EACH = 8
PARAPHRASES = 10
CORPUS_SAMPLE = 12_000


def draws(skill: Skill, times: int = EACH) -> Iterator[tuple[int, str, dict[str, str], str]]:
    for number, template in enumerate(skill.templates):
        for i in range(times):
            rng = rng_for(7, skill.name, number, i)
            slots = skill.draw_slots(rng)
            instruction = decorate(rng, fill(template, slots, rng))
            yield number, instruction, slots, skill.make_input(rng, slots)


def test_there_are_enough_skills_of_every_category() -> None:
    assert len(TRAINED) >= 80
    assert len(HELD_OUT) >= 8
    assert {skill.category for skill in TRAINED} == set(CATEGORIES)
    assert len(BY_NAME) == len(SKILLS)


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_every_skill_has_enough_wordings_and_keeps_some_back(skill: Skill) -> None:
    assert len(skill.templates) >= PARAPHRASES
    assert len(set(skill.templates)) == len(skill.templates)
    if skill.held_out:
        assert skill.trained_templates == ()
    else:
        assert len(skill.trained_templates) >= PARAPHRASES
        assert len(skill.held_out_templates) == HELD_OUT_PARAPHRASES
    assert bool(skill.labels) == skill.is_classification


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_recognise_inverts_every_template_and_the_answer_passes_its_checker(skill: Skill) -> None:
    for number, instruction, slots, text in draws(skill, 3):
        found = recognise(instruction)
        assert found is not None, instruction
        assert (found.skill.name, found.template) == (skill.name, number), instruction
        assert found.slots.items() <= slots.items()
        output = skill.right_output(rng_for(1, instruction), slots, text)
        assert gold_score(instruction, text, output) == 1.0, (instruction, text, output)
        if skill.labels:
            assert output in skill.labels


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_wrong_outputs_and_wrong_inputs_fail(skill: Skill) -> None:
    for i in range(20):
        rng = rng_for(3, skill.name, i)
        example = draw_example(rng, skill, held_out=True)
        wrong = wrong_output(rng, example)
        assert gold_score(example.instruction, example.input, wrong) == 0.0
        strange = "no input of any skill has this form !"
        assert gold_score(example.instruction, strange, example.output) == 0.0


@pytest.mark.parametrize(
    ("instruction", "text", "output", "score"),
    [
        ("Write the first word of the list.", "cat, dog", "cat", 1.0),
        ("Write the first word of the list.", "cat, dog", "dog", 0.0),
        ("Write the first word of the list.", "Cat dog", "Cat", 0.0),
        ("Write the first word of the list. Be exact. It is for a child.", "cat, dog", "cat", 1.0),
        ("Write the second word of the menu.", "cat, dog", "dog", None),
        ("Negate the line.", "Tom is sad.", "Tom is not sad.", 1.0),
        ("List three fruits.", "", "fig, plum, pear", 1.0),
        ("List three fruits.", "", "fig, fig, pear", 0.0),
        ("Count up to 4.", "", "1, 2, 3, 4", 1.0),
        ("Count up to 4.", "something", "1, 2, 3, 4", 0.0),
        ("Write a poem about the sea.", "", "Blue.", None),
        ("", "", "", None),
    ],
)
def test_gold_score(instruction: str, text: str, output: str, score: float | None) -> None:
    assert gold_score(instruction, text, output) == score


def test_classification_follows_the_skill() -> None:
    assert is_classification("Odd or even?") is True
    assert is_classification("Add the two numbers.") is False
    assert is_classification("Write a poem about the sea.") is None


def test_what_is_held_out_never_occurs_in_the_corpus() -> None:
    found = corpus.texts(0, 0, CORPUS_SAMPLE)
    words = ("Instruction: ", "Task: ", "New task: ", "Task A: ", "Task B: ")
    checked = 0
    for text in found:
        for line in text.splitlines():
            start, dot, rest = line.partition(". ")
            body = rest if dot and start.isdigit() else line
            for mark in words:
                body = body.removeprefix(mark)
            task = recognise(body)
            if task is not None:
                checked += 1
                assert not task.held_out, line
    assert checked > CORPUS_SAMPLE // 2


def test_no_held_out_wording_is_a_part_of_a_trained_text() -> None:
    sample = "\n".join(corpus.texts(1, 0, CORPUS_SAMPLE))
    for skill in SKILLS:
        for template in skill.held_out_templates:
            rng = rng_for(11, template)
            assert fill(template, skill.draw_slots(rng), rng) not in sample


def test_the_same_seed_gives_the_same_texts_in_any_order() -> None:
    whole = corpus.texts(5, 0, 40)
    assert whole == corpus.texts(5, 0, 25) + corpus.texts(5, 25, 15)
    assert whole != corpus.texts(6, 0, 40)


def test_every_form_occurs_and_reads_as_the_pipeline_writes_it() -> None:
    found = corpus.texts(2, 0, 3000)
    assert any(text.startswith(f"{render.LIST_HEADER}\n1. ") for text in found)
    for part in (
        f"Question: {render.CLASSIFICATION_QUESTION}\nAnswer: Yes",
        f"Question: {CORRECT_QUESTION}\nAnswer: No",
        f"Question: {render.BETTER_QUESTION}\nAnswer: A",
        f"Question: {render.VALID_QUESTION}\nAnswer: No",
        "\nClass label: ",
        "Operation: deepen\nTask: ",
    ):
        assert any(part in text for text in found), part


def test_instances_are_read_back() -> None:
    for i in range(200):
        text = "".join(part for part, _ in render.input_first(rng_for(4, i)))
        instruction, _, rest = text.partition("\n")
        pair = render.parse_instance(rest)
        assert pair is not None
        assert gold_score(instruction.removeprefix("Instruction: "), *pair) == 1.0


@pytest.mark.parametrize("text", ["", "Output:", "Input: a", "x\nOutput: a", "Output: a\nb"])
def test_other_texts_are_no_instances(text: str) -> None:
    assert render.parse_instance(text) is None


def test_the_pool_of_training_instructions_is_recognised() -> None:
    pool = training_instructions()
    assert len(pool) == sum(len(skill.trained_templates) for skill in TRAINED)
    assert all(recognise(text) is not None for text in pool)


def test_evaluation_tasks_use_only_what_is_held_out() -> None:
    found = eval_tasks.tasks()
    assert len(found) >= 24
    assert {task["Categories"][0] for task in found.values()} == set(CATEGORIES)
    for task in found.values():
        known = recognise(task["Definition"][0])
        assert known is not None
        assert known.held_out
        assert len(task["Instances"]) == eval_tasks.INSTANCES
        for row in task["Instances"]:
            assert gold_score(task["Definition"][0], row["input"], row["output"][0]) == 1.0


def test_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, refine_af.builtin, refine_af.builtin.gold; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'tokenizers', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
