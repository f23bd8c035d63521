"""Skills on a list of words: pick, count, look up, change."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from refine_af.builtin import words
from refine_af.builtin.skills.core import Skill, Slots
from refine_af.builtin.skills.phrasing import LIST, draw_words, read_words, with_word

NOUN_SLOT = words.NOUNS
_CATEGORY_WORDS = tuple(words.CATEGORY_OF)


def _make(least: int, most: int) -> Callable[[Random, Slots], str]:
    return lambda rng, slots: ", ".join(draw_words(rng, least, most))


def _pure(
    change: Callable[[list[str]], str | None], least: int = 2, most: int = 9
) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        found = read_words(text, least, most)
        return None if found is None else change(found)

    return answer


def _with_slot(
    change: Callable[[list[str], Slots], str | None], least: int = 2, most: int = 9
) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        found = read_words(text, least, most)
        return None if found is None else change(found, slots)

    return answer


def _make_with(slot: str, least: int, most: int, chance: float = 1.0) -> Callable[..., str]:
    def make(rng: Random, slots: Slots) -> str:
        found = [w for w in draw_words(rng, least + 1, most + 1) if w != slots[slot]][:most]
        return ", ".join(with_word(rng, found, slots[slot]) if rng.random() < chance else found)

    return make


def _nth(found: list[str], slots: Slots) -> str | None:
    number = words.ORDINALS[slots["nth"]]
    return found[number - 1] if len(found) >= number else None


def _remove(found: list[str], slots: Slots) -> str | None:
    kept = [w for w in found if w != slots["word"]]
    return ", ".join(kept) if 0 < len(kept) < len(found) else None


def _replace(found: list[str], slots: Slots) -> str | None:
    if slots["word"] not in found:
        return None
    return ", ".join(slots["other"] if w == slots["word"] else w for w in found)


def _make_pick(rng: Random, slots: Slots) -> str:
    kind = words.WITH_ARTICLE[slots["cat"]]
    others = [w for w in _CATEGORY_WORDS if words.CATEGORY_OF[w] != kind]
    found = [*rng.sample(others, rng.randint(2, 4)), rng.choice(words.CATEGORIES[kind])]
    rng.shuffle(found)
    return ", ".join(found)


def _pick(found: list[str], slots: Slots) -> str | None:
    hits = [w for w in found if w in words.CATEGORIES[words.WITH_ARTICLE[slots["cat"]]]]
    return hits[0] if len(hits) == 1 else None


def _make_twice(rng: Random, slots: Slots) -> str:
    found = draw_words(rng, 3, 5)
    found.insert(rng.randint(0, len(found)), rng.choice(found))
    return ", ".join(found)


def _twice(found: list[str]) -> str | None:
    hits = sorted({w for w in found if found.count(w) == 2})
    return hits[0] if len(hits) == 1 else None


def _make_shared(rng: Random, slots: Slots) -> str:
    left, right = draw_words(rng, 3, 3), draw_words(rng, 3, 3)
    right = [w for w in right if w not in left] or right
    right = with_word(rng, right[:3], rng.choice(left))
    return f"{', '.join(left)} | {', '.join(right)}"


def _shared(slots: Slots, text: str) -> str | None:
    left, bar, right = text.partition(" | ")
    one, two = read_words(left, 2), read_words(right, 1)
    if not bar or one is None or two is None:
        return None
    hits = [w for w in one if w in two]
    return hits[0] if len(hits) == 1 else None


def _make_same(rng: Random, slots: Slots) -> str:
    left = draw_words(rng, 2, 4)
    right = list(left)
    if rng.random() < 0.5:
        right[rng.randrange(len(right))] = rng.choice(words.NOUNS)
    return f"{', '.join(left)} | {', '.join(right)}"


def _same(slots: Slots, text: str) -> str | None:
    left, bar, right = text.partition(" | ")
    one, two = read_words(left), read_words(right)
    if not bar or one is None or two is None:
        return None
    return "yes" if one == two else "no"


def _ended(found: list[str]) -> str:
    return f"{', '.join(found[:-1])} and {found[-1]}"


SKILLS: tuple[Skill, ...] = (
    Skill(
        "first_word",
        "Overlap Extraction",
        (
            "Write the first word of the {list}.",
            "Which word comes first in the {list}?",
            "Give the (opening|leading) word of the {list}.",
            "Copy only the first entry of the {list}[ and leave out the rest].",
            "What does the {list} begin with?",
            "[Look at the {list}. ]Name the word at the start.",
            "Find the word that stands at the very beginning of the {list}.",
            "You are given a {list}. Return the first item.",
            "Take the {list} and pick its first word.",
            "Read the {list} and tell me the first word.",
            "Say which item opens the {list}.",
            "The {list} starts with a word. Which one is it?",
        ),
        {"list": LIST},
        _make(3, 6),
        _pure(lambda found: found[0]),
    ),
    Skill(
        "last_word",
        "Overlap Extraction",
        (
            "Write the last word of the {list}.",
            "Which word comes last in the {list}?",
            "Give the (final|closing) word of the {list}.",
            "Copy only the last entry of the {list}[ and leave out the rest].",
            "What does the {list} end with?",
            "[Look at the {list}. ]Name the word at the end.",
            "Find the word that stands at the very end of the {list}.",
            "You are given a {list}. Return the last item.",
            "Take the {list} and pick its last word.",
            "Read the {list} and tell me the final item.",
            "Say which item closes the {list}.",
            "The {list} finishes with a word. Which one is it?",
        ),
        {"list": LIST},
        _make(3, 6),
        _pure(lambda found: found[-1]),
    ),
    Skill(
        "nth_item",
        "Overlap Extraction",
        (
            "Write the {nth} word of the {list}.",
            "Which word is the {nth} in the {list}?",
            "Give the {nth} entry of the {list}.",
            "Copy only the {nth} item of the {list}.",
            "You are given a {list}. Return the {nth} item.",
            "[Look at the {list}. ]Name the {nth} word.",
            "Find the word in {nth} place of the {list}.",
            "Take the {list} and pick its {nth} word.",
            "Read the {list} and tell me the {nth} word.",
            "What is the {nth} thing in the {list}?",
            "Say which item stands {nth} in the {list}.",
            "Count along the {list} and report the {nth} entry.",
        ),
        {"list": LIST, "nth": tuple(words.ORDINALS)},
        _make(4, 6),
        _with_slot(_nth),
    ),
    Skill(
        "count_items",
        "Data to Text",
        (
            "Count the words in the {list}.",
            "How many words are in the {list}?",
            "Give the number of items in the {list}.",
            "How many entries does the {list} have?",
            "You are given a {list}. Say how long it is.",
            "[Look at the {list}. ]Tell me how many things it names.",
            "Find the length of the {list} in words.",
            "Write as a number how many items the {list} holds.",
            "What is the total count of words in the {list}?",
            "Report the size of the {list}.",
            "State the number of entries that the {list} contains.",
            "Of how many words is the {list} made?",
        ),
        {"list": LIST},
        _make(2, 7),
        _pure(lambda found: str(len(found))),
    ),
    Skill(
        "contains_word",
        "Textual Entailment",
        (
            "Is the word {word} in the {list}? Answer yes or no.",
            "Does the {list} contain {word}? (Say|Answer) yes or no.",
            "Check whether the {list} has the word {word}. Reply yes or no.",
            "Decide if {word} appears in the {list}[, yes or no].",
            "Say yes if the {list} mentions {word}, otherwise say no.",
            "Can you find {word} in the {list}? Answer with yes or no.",
            "You are given a {list}. Is {word} one of the items?",
            "Tell me whether {word} is part of the {list}.",
            "Look for {word} in the {list} and answer yes or no.",
            "Answer yes when {word} stands in the {list} and no when it does not.",
            "Is {word} included in the {list}?",
            "Search the {list} for {word}. Is it there, yes or no?",
        ),
        {"list": LIST, "word": NOUN_SLOT},
        _make_with("word", 3, 5, 0.5),
        _with_slot(lambda found, slots: "yes" if slots["word"] in found else "no"),
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "reverse_list",
        "Overlap Extraction",
        (
            "Reverse the {list}.",
            "Write the {list} in reverse order.",
            "Turn the {list} around[ so that the last word comes first].",
            "Give the words of the {list} from last to first.",
            "Put the {list} in the opposite order.",
            "You are given a {list}. Write it backwards, word by word.",
            "List the same words in reverse[, from the last to the first].",
            "Flip the order of the {list}.",
            "Copy the {list} starting from its end.",
            "Take the {list} and reverse the order of its items.",
            "Rewrite the {list} from the end to the beginning.",
            "Invert the order of words in the {list}.",
        ),
        {"list": LIST},
        _make(3, 4),
        _pure(lambda found: ", ".join(found[::-1])),
    ),
    Skill(
        "join_and",
        "Data to Text",
        (
            "Write the {list} with the word and before the last item.",
            "Turn the {list} into a phrase that uses and.",
            "Put and in front of the final word of the {list}.",
            "Rewrite the {list} as it would stand in a sentence, with and.",
            "Join the last two words of the {list} with and.",
            "Use and instead of the last comma of the {list}.",
            "You are given a {list}. Replace the final comma by and.",
            "Make a natural phrase of the {list}[, with and before the last word].",
            "Say the {list} as people speak, with and at the end.",
            "Finish the {list} with and plus its last word.",
            "Change the last comma of the {list} into and.",
            "Phrase the {list} with and between the two final words.",
        ),
        {"list": LIST},
        _make(3, 5),
        _pure(_ended),
    ),
    Skill(
        "remove_word",
        "Grammar Error Correction",
        (
            "Remove the word {word} from the {list}.",
            "Write the {list} without {word}.",
            "Delete {word} from the {list}[ and keep the other words].",
            "Leave out {word} and copy the rest of the {list}.",
            "Take {word} out of the {list}.",
            "You are given a {list}. Drop the item {word}.",
            "Cross {word} off the {list}.",
            "Copy the {list} but skip {word}.",
            "Erase {word} and write what is left of the {list}.",
            "Give all items of the {list} except {word}.",
            "Strike {word} from the {list}.",
            "What remains of the {list} when {word} is gone?",
        ),
        {"list": LIST, "word": NOUN_SLOT},
        _make_with("word", 3, 5),
        _with_slot(_remove),
    ),
    Skill(
        "replace_word",
        "Grammar Error Correction",
        (
            "Replace {word} with {other} in the {list}.",
            "Change {word} to {other} in the {list}.",
            "Write {other} in place of {word} in the {list}.",
            "Copy the {list} but write {other} instead of {word}.",
            "Put {other} where the {list} says {word}.",
            "You are given a {list}. Swap {word} for {other}.",
            "Use {other} rather than {word} in the {list}.",
            "In the {list}, turn {word} into {other}.",
            "Edit the {list}: {word} becomes {other}.",
            "Exchange {word} for {other} and copy the rest of the {list}.",
            "Substitute {other} for {word} in the {list}.",
            "Rewrite the {list} so that {other} stands where {word} was.",
        ),
        {"list": LIST, "word": NOUN_SLOT, "other": NOUN_SLOT},
        _make_with("word", 3, 4),
        _with_slot(_replace),
        allowed=lambda s: s["word"] != s["other"],
    ),
    Skill(
        "drop_first",
        "Overlap Extraction",
        (
            "Write the {list} without its first word.",
            "Delete the first item of the {list}.",
            "Skip the first word and copy the rest of the {list}.",
            "Leave off the first entry of the {list}.",
            "Give everything in the {list} after the first word.",
            "You are given a {list}. Remove the first item.",
            "Drop the opening word of the {list}.",
            "Copy the {list} from the second word on.",
            "Take away the first word of the {list} and write what is left.",
            "Cut the first item off the {list}.",
            "What is left of the {list} when its first word is dropped?",
            "Start the {list} at its second item instead.",
        ),
        {"list": LIST},
        _make(3, 5),
        _pure(lambda f: ", ".join(f[1:])),
    ),
    Skill(
        "drop_last",
        "Overlap Extraction",
        (
            "Write the {list} without its last word.",
            "Delete the last item of the {list}.",
            "Copy the {list} but stop before the last word.",
            "Leave off the final entry of the {list}.",
            "Give everything in the {list} before the last word.",
            "You are given a {list}. Remove the last item.",
            "Drop the closing word of the {list}.",
            "Copy all but the last word of the {list}.",
            "Take away the last word of the {list} and write what is left.",
            "Cut the last item off the {list}.",
            "What is left of the {list} when its final word is dropped?",
            "End the {list} one item earlier.",
        ),
        {"list": LIST},
        _make(3, 5),
        _pure(lambda f: ", ".join(f[:-1])),
    ),
    Skill(
        "first_two",
        "Overlap Extraction",
        (
            "Write the first two words of the {list}.",
            "Which two words come first in the {list}?",
            "Give the opening two items of the {list}.",
            "Copy only the first two entries of the {list}.",
            "You are given a {list}. Return the two items at the start.",
            "Name the two words at the beginning of the {list}.",
            "Keep the first two words of the {list} and drop the rest.",
            "Shorten the {list} to its first two items.",
            "Take the first pair of words from the {list}.",
            "Read the {list} and repeat its first two words.",
            "What are the first two things in the {list}?",
            "Cut the {list} after its second word.",
        ),
        {"list": LIST},
        _make(3, 6),
        _pure(lambda f: ", ".join(f[:2])),
    ),
    Skill(
        "add_end",
        "Data to Text",
        (
            "Add {word} to the end of the {list}.",
            "Write the {list} with {word} as a new last word.",
            "Append {word} to the {list}.",
            "Put {word} after the last word of the {list}.",
            "Make {word} the final item of the {list}.",
            "You are given a {list}. Add the item {word} at the end.",
            "Copy the {list} and then write {word}.",
            "Extend the {list} with {word}.",
            "Let the {list} finish with {word}.",
            "Continue the {list} with the word {word}.",
            "Attach {word} behind the other items of the {list}.",
            "Close the {list} with one more word: {word}.",
        ),
        {"list": LIST, "word": NOUN_SLOT},
        _make(2, 4),
        _with_slot(lambda f, s: ", ".join([*f, s["word"]])),
    ),
    Skill(
        "pick_category",
        "Keyword Tagging",
        (
            "Which word in the {list} names {cat}?",
            "Find the word in the {list} that is {cat}.",
            "Pick {cat} from the {list}.",
            "Copy the one item of the {list} that is {cat}.",
            "Only one word of the {list} means {cat}. Write it.",
            "You are given a {list}. Return the item that is {cat}.",
            "What in the {list} is {cat}?",
            "Search the {list} for {cat} and name it.",
            "Select from the {list} the word for {cat}.",
            "Tell me which item of the {list} is {cat}.",
            "Spot {cat} among the words of the {list}.",
            "One entry of the {list} stands for {cat}. Which?",
        ),
        {"list": LIST, "cat": tuple(words.WITH_ARTICLE)},
        _make_pick,
        _with_slot(_pick),
    ),
    Skill(
        "repeated_word",
        "Keyword Tagging",
        (
            "Which word appears twice in the {list}?",
            "Find the word that is repeated in the {list}.",
            "Name the duplicate in the {list}.",
            "One word of the {list} occurs two times. Write it.",
            "You are given a {list}. Return the item that stands there twice.",
            "Tell me which entry of the {list} is written more than once.",
            "Spot the word that comes back in the {list}.",
            "What item does the {list} mention twice?",
            "Look for the double word in the {list}.",
            "Give the word that the {list} repeats.",
            "Report the entry of the {list} that is there two times.",
            "A word was copied by mistake in the {list}. Which one?",
        ),
        {"list": LIST},
        _make_twice,
        _pure(_twice, 3, 7),
    ),
    Skill(
        "shared_word",
        "Overlap Extraction",
        (
            "Which word is in both lists?",
            "Find the word that the two lists share.",
            "Name the item that occurs in both lists[ divided by a bar].",
            "Write the common word of the two (lists|rows).",
            "Two lists are given[ with a bar between them]. What word do they have in common?",
            "Compare both lists and return the shared item.",
            "What item stands left and right of the bar?",
            "Give the overlap of the two lists.",
            "Tell me the word that is found in each list.",
            "Pick the entry that both (lists|rows) contain.",
            "State the one word that the lists have in common.",
            "Look at the two rows and say what they share.",
        ),
        {},
        _make_shared,
        _shared,
    ),
    Skill(
        "same_lists",
        "Textual Entailment",
        (
            "Are the two lists the same? Answer yes or no.",
            "Do both lists hold the same words in the same order? Reply yes or no.",
            "Compare the two lists and say yes if they are equal, otherwise no.",
            "Is the left list equal to the right one?",
            "Two lists are given[ with a bar between them]. Are they identical?",
            "Check whether both lists match[ exactly], yes or no.",
            "Decide if the second list is a copy of the first.",
            "Say whether the lists agree in every word.",
            "Answer yes when the two rows are equal and no when they differ.",
            "Does the right list repeat the left one exactly?",
            "Tell me if the lists are identical, with yes or no.",
            "Is there no difference between the two rows? Answer yes or no.",
        ),
        {},
        _make_same,
        _same,
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "middle_word",
        "Overlap Extraction",
        (
            "Write the middle word of the {list}.",
            "Which word stands in the middle of the {list}?",
            "Give the central item of the {list} of three.",
            "The {list} has three words. Name the one between the others.",
            "Copy only the word in the centre of the {list}.",
            "What is between the first and the last word of the {list}?",
            "You are given a {list}. Return the middle item.",
            "Find the word with one neighbour on each side in the {list}.",
            "Tell me the middle entry of the {list}.",
            "Pick the word at the centre of the {list}.",
        ),
        {"list": LIST},
        _make(3, 3),
        _pure(lambda f: f[1], 3, 3),
        held_out=True,
    ),
    Skill(
        "last_two",
        "Overlap Extraction",
        (
            "Write the last two words of the {list}.",
            "Which two words come last in the {list}?",
            "Give the final two items of the {list}.",
            "Copy only the last two entries of the {list}.",
            "Name the two words at the end of the {list}.",
            "Keep the last two words of the {list} and drop the rest.",
            "Shorten the {list} to its last two items.",
            "Take the last pair of words from the {list}.",
            "Read the {list} and repeat its last two words.",
            "What are the last two things in the {list}?",
        ),
        {"list": LIST},
        _make(3, 5),
        _pure(lambda f: ", ".join(f[-2:])),
        held_out=True,
    ),
    Skill(
        "word_after",
        "Overlap Extraction",
        (
            "Which word comes right after {word} in the {list}?",
            "Write the item that follows {word} in the {list}.",
            "Find the neighbour behind {word} in the {list}.",
            "In the {list}, what stands directly after {word}?",
            "Name the next word after {word} in the {list}.",
            "Give the entry of the {list} that comes next after {word}.",
            "Tell me what follows {word} in the {list}.",
            "Look up {word} in the {list} and write the word behind it.",
            "You are given a {list}. Return the successor of {word}.",
            "After {word}, which item does the {list} name?",
        ),
        {"list": LIST, "word": NOUN_SLOT},
        lambda rng, s: ", ".join(
            (lambda f: [*f[:-1], s["word"], f[-1]])(
                [w for w in draw_words(rng, 4, 5) if w != s["word"]]
            )
        ),
        _with_slot(lambda f, s: f[f.index(s["word"]) + 1] if s["word"] in f[:-1] else None),
        held_out=True,
    ),
)
