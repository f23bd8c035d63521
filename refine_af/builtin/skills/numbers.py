"""Skills on small numbers."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from refine_af.builtin import words
from refine_af.builtin.skills.core import Skill, Slots
from refine_af.builtin.skills.phrasing import NUMBER, read_numbers
from refine_af.builtin.skills.word_facts import table_skill

_LIMITS = tuple(str(n) for n in range(10, 100, 5))


def _draw(count: int, least: int, most: int) -> Callable[[Random, Slots], str]:
    return lambda rng, slots: ", ".join(map(str, rng.sample(range(least, most + 1), count)))


def _on(
    count: int, change: Callable[[list[int], Slots], str | None]
) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        found = read_numbers(text, count)
        return None if found is None else change(found, slots)

    return answer


def _two(rng: Random, slots: Slots) -> str:
    return f"{rng.randint(0, 9)}, {rng.randint(0, 9)}"


_NUMBER_WORD = {str(i): w for i, w in enumerate(words.NUMBER_WORDS)}

SKILLS: tuple[Skill, ...] = (
    Skill(
        "add",
        "Data to Text",
        (
            "Add the two numbers.",
            "What is the sum of the numbers?",
            "Give the total of both numbers.",
            "How much are the two numbers together?",
            "You are given two numbers. Return their sum.",
            "Work out the sum.",
            "Put both numbers together and write the result.",
            "Calculate the first number plus the second.",
            "Find the total.",
            "Tell me what the numbers add up to.",
            "Sum up the pair of numbers.",
            "Do the addition of both numbers.",
        ),
        {},
        _two,
        _on(2, lambda f, s: str(sum(f))),
    ),
    Skill(
        "larger_of_two",
        "Data to Text",
        (
            "Which number is larger?",
            "Write the bigger of the two numbers.",
            "Give the greater number.",
            "Choose the larger one of the two numbers.",
            "You are given two numbers. Return the higher one.",
            "Pick the number that is more.",
            "Compare the two numbers and write the larger.",
            "Tell me which value is the bigger one.",
            "Find the higher of both numbers.",
            "Name the greater of the two values.",
            "Which of these two numbers exceeds the other?",
            "Of the pair, copy the number with the higher value.",
        ),
        {},
        _draw(2, 1, 99),
        _on(2, lambda f, s: str(max(f)) if f[0] != f[1] else None),
    ),
    Skill(
        "smaller_of_two",
        "Data to Text",
        (
            "Which number is smaller?",
            "Write the lesser of the two numbers.",
            "Give the lower number.",
            "Choose the smaller one of the two numbers.",
            "You are given two numbers. Return the lower one.",
            "Pick the number that is less.",
            "Compare the two numbers and write the smaller.",
            "Tell me which value is the smaller one.",
            "Find the lower of both numbers.",
            "Name the lesser of the two values.",
            "Which of these two numbers is below the other?",
            "Of the pair, copy the number with the lower value.",
        ),
        {},
        _draw(2, 1, 99),
        _on(2, lambda f, s: str(min(f)) if f[0] != f[1] else None),
    ),
    Skill(
        "largest_of_three",
        "Data to Text",
        (
            "Which of the three numbers is the largest?",
            "Write the biggest number of the three.",
            "Give the maximum of the numbers.",
            "Choose the greatest of the three values.",
            "Return the highest of the three numbers.",
            "Pick the number that is larger than both others.",
            "Find the maximum.",
            "Tell me the top value of the three.",
            "Name the largest value among the three.",
            "State the highest figure in the row of three.",
        ),
        {},
        _draw(3, 1, 99),
        _on(3, lambda f, s: str(max(f))),
        held_out=True,
    ),
    Skill(
        "smallest_of_three",
        "Data to Text",
        (
            "Which of the three numbers is the smallest?",
            "Write the smallest number of the three.",
            "Give the minimum of the numbers.",
            "Choose the least of the three values.",
            "You are given three numbers. Return the lowest.",
            "Pick the number that is smaller than both others.",
            "Find the minimum.",
            "Tell me the bottom value of the three.",
            "Name the smallest value among the three.",
            "State the lowest figure in the row of three.",
            "Which number in the row of three has the least value?",
            "Copy the lowest one of three numbers.",
        ),
        {},
        _draw(3, 1, 99),
        _on(3, lambda f, s: str(min(f))),
    ),
    Skill(
        "odd_even",
        "Keyword Tagging",
        (
            "Is the {number} odd or even?",
            "Label the {number} as odd or even.",
            "Odd or even?",
            "Say whether the {number} is odd or even.",
            "You are given a {number}. Tell if it is odd or even.",
            "Classify the {number}: odd or even.",
            "Choose odd or even for the {number}.",
            "Decide between odd and even for the {number}.",
            "Can the {number} be divided by two? Write even or odd.",
            "Mark the {number} with the word odd or even.",
            "Which is right for the {number}, odd or even?",
            "State if this {number} counts as even or odd.",
        ),
        {"number": NUMBER},
        lambda rng, s: str(rng.randint(1, 99)),
        _on(1, lambda f, s: "odd" if f[0] % 2 else "even"),
        is_classification=True,
        labels=("odd", "even"),
    ),
    Skill(
        "above_limit",
        "Textual Entailment",
        (
            "Is the {number} greater than {limit}? Answer yes or no.",
            "Is it more than {limit}? Reply yes or no.",
            "Say yes if the {number} is above {limit}, otherwise no.",
            "Check whether the {number} exceeds {limit}[, yes or no].",
            "You are given a {number}. Is it higher than {limit}?",
            "Does the {number} lie over {limit}? Yes or no.",
            "Decide if the {number} is larger than {limit}.",
            "Tell me whether the {number} goes beyond {limit}.",
            "Compare the {number} with {limit}. Is it bigger, yes or no?",
            "Answer yes for more than {limit} and no for less.",
            "Does this {number} pass the limit of {limit}, yes or no?",
            "Is {limit} less than the {number}?",
        ),
        {"number": NUMBER, "limit": _LIMITS},
        lambda rng, s: str(rng.choice([n for n in range(1, 100) if n != int(s["limit"])])),
        _on(
            1,
            lambda f, s: (
                None if f[0] == int(s["limit"]) else "yes" if f[0] > int(s["limit"]) else "no"
            ),
        ),
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "next_number",
        "Data to Text",
        (
            "Write the number that comes next.",
            "Add one to the {number}.",
            "What {number} comes right after it?",
            "Count on by one.",
            "You are given a {number}. Return the next one.",
            "Increase the {number} by one.",
            "Give the {number} after this one.",
            "Tell me the following {number}.",
            "Go up by one from the {number}.",
            "Which {number} do you say next when you count?",
            "Continue counting by a single step from the {number}.",
            "Make the {number} one larger.",
        ),
        {"number": NUMBER},
        lambda rng, s: str(rng.randint(0, 98)),
        _on(1, lambda f, s: str(f[0] + 1)),
    ),
    table_skill(
        "number_to_word",
        "Data to Text",
        _NUMBER_WORD,
        (
            "Write the number as a word.",
            "Spell the number in letters.",
            "How do you write this number in words?",
            "Turn the digits into a word.",
            "You are given a number. Return it as a word.",
            "Give the name of the number.",
            "Write out the figure in letters.",
            "Change the number to its word.",
            "Tell me the number word.",
            "Replace the digits by the number word.",
            "Say the number in words instead of digits.",
            "Which word is read for these digits?",
        ),
    ),
    table_skill(
        "word_to_number",
        "Data to Text",
        {w: n for n, w in _NUMBER_WORD.items()},
        (
            "Write the number word in digits.",
            "Turn the word into a number.",
            "Which number does the word mean?",
            "Give the digits for the number word.",
            "You are given a number word. Return the figure.",
            "Change the word to digits.",
            "How is this number written in figures?",
            "Replace the number word by digits.",
            "Tell me the number in digits.",
            "Write the value of the number word.",
            "Express the number word as a figure.",
            "What digits stand for the word?",
        ),
    ),
)
