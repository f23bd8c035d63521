"""Rows that are right and rows that are damaged on purpose: what the embedded reward learns from.

The damage is drawn from what a small model does wrong: it answers another task, copies its input,
misses by a word or by one, repeats itself, leaves words out.  No sample of a model is among it and
no gold score of one; a row counts as damaged only where its skill's checker rejects it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from refine_af.builtin.examples import Example, draw_example, draw_skill, wrong_output
from refine_af.builtin.randomness import rng_for
from refine_af.builtin.reward_model import Row

Labels = tuple[float, float, float, float]
UNKNOWN = -1.0


@dataclass(frozen=True)
class Labelled:
    """A row with one label per indicator: 1 right, 0 corrupted, -1 not known."""

    row: Row
    labels: Labels


def _shuffle(rng: Random, text: str) -> str:
    found = text.split()
    rng.shuffle(found)
    return " ".join(found)


def _repeat(rng: Random, text: str) -> str:
    found = text.split()
    place = rng.randrange(len(found))
    return " ".join(found[: place + 1] + [found[place]] * rng.randint(1, 4) + found[place + 1 :])


def _insert(rng: Random, text: str) -> str:
    found = text.split()
    other = draw_example(rng, draw_skill(rng)).instruction.split()
    place = rng.randrange(len(found) + 1)
    return " ".join([*found[:place], *rng.sample(other, min(3, len(other))), *found[place:]])


def _garble(rng: Random, text: str) -> str:
    letters = list(text)
    for _ in range(max(2, len(letters) // 5)):
        letters[rng.randrange(len(letters))] = rng.choice("abcdefghijklmnopqrstuvwxyz ")
    return "".join(letters)


def _truncate(rng: Random, text: str) -> str:
    return text[: rng.randint(1, max(1, len(text) * 2 // 3))].rstrip() or text[:1]


_UNNATURAL: tuple[Callable[[Random, str], str], ...] = (_shuffle, _repeat, _insert)
_UNCLEAR: tuple[Callable[[Random, str], str], ...] = (_garble, _truncate)


def _damage(
    rng: Random, example: Example, ways: Sequence[Callable[[Random, str], str]]
) -> Row | None:
    on_input = bool(example.input) and rng.random() < 0.5
    text = example.input if on_input else example.output
    for _ in range(10):
        changed = rng.choice(ways)(rng, text)
        pair = (changed, example.output) if on_input else (example.input, changed)
        # A shuffled list is a list as good as the first: only what the checker rejects is damage.
        if changed != text and not example.skill.check(example.slots, *pair):
            return example.instruction, *pair
    return None


def _foreign_pair(rng: Random, example: Example) -> Row | None:
    other = draw_example(rng, draw_skill(rng))
    if example.skill.check(example.slots, other.input, other.output):
        return None
    return example.instruction, other.input, other.output


def _close(rng: Random, text: str) -> str:
    """Miss by little: a word twice, one word for another of the same text, a number off by few."""
    found = text.split()
    kind = rng.randrange(3)
    numbers = [i for i, word in enumerate(found) if word.isdigit()]
    if kind == 0 and numbers:
        place = rng.choice(numbers)
        found[place] = str(max(0, int(found[place]) + rng.choice((-2, -1, 1, 2))))
        return " ".join(found)
    place, other = rng.randrange(len(found)), found[rng.randrange(len(found))]
    if kind == 1:
        found[place] = other
    else:
        found.insert(place, other)
    return " ".join(found)


def _copied(rng: Random, example: Example) -> str:
    """Return the input as it is, or some of its words in any order."""
    words = example.input.split()
    return (
        example.input
        if rng.random() < 0.3
        else " ".join(rng.sample(words, rng.randint(1, len(words))))
    )


def _wrong_answer(rng: Random, example: Example) -> Row | None:
    kind = rng.random()
    if kind < 0.45:
        return example.instruction, example.input, wrong_output(rng, example)
    if kind < 0.65:
        return _foreign_pair(rng, example)
    output = _copied(rng, example) if kind < 0.8 and example.input else _close(rng, example.output)
    if example.skill.check(example.slots, example.input, output):
        return None
    return example.instruction, example.input, output


def labelled_row(rng: Random, held_out: bool) -> Labelled:
    """Draw one right or corrupted row of a trained skill."""
    example = draw_example(rng, draw_skill(rng), held_out)
    right = Labelled((example.instruction, example.input, example.output), (1.0, 1.0, 1.0, 1.0))
    kind = rng.random()
    if kind < 0.45:
        return right
    if kind < 0.88:
        row, labels = _wrong_answer(rng, example), (1.0, 0.0, 1.0, 0.0)
    elif kind < 0.95:
        row, labels = _damage(rng, example, _UNNATURAL), (0.0, UNKNOWN, UNKNOWN, 0.0)
    else:
        row, labels = _damage(rng, example, _UNCLEAR), (0.0, UNKNOWN, 0.0, 0.0)
    return right if row is None else Labelled(row, labels)


def rows(count: int, seed: int, held_out: bool = False, first: int = 0) -> list[Labelled]:
    """Draw ``count`` labelled rows from row ``first`` on; held-out wordings are for measuring."""
    return [labelled_row(rng_for(seed, "reward", first + i), held_out) for i in range(count)]
