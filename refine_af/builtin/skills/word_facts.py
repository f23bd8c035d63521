"""Skills on single words: classes, tables of facts, forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import permutations
from random import Random

from refine_af.builtin import words
from refine_af.builtin.skills.core import Skill, Slots, no_input
from refine_af.builtin.skills.phrasing import WORD, article

_PAIR_NAMES = ("animal", "fruit", "vegetable", "colour", "tool", "garment", "vehicle", "drink")
_PAIRS = {f"{article(a)} or {article(b)}": (a, b) for a, b in permutations(_PAIR_NAMES, 2)}


def _from(pool: Iterable[str]) -> Callable[[Random, Slots], str]:
    ordered = sorted(set(pool))
    return lambda rng, slots: rng.choice(ordered)


def _table(table: Mapping[str, str]) -> Callable[[Slots, str], str | None]:
    return lambda slots, text: table.get(text)


def table_skill(
    name: str,
    category: str,
    table: Mapping[str, str],
    templates: tuple[str, ...],
    labels: tuple[str, ...] = (),
    held_out: bool = False,
) -> Skill:
    """Make a skill that looks the input up in a table of our own."""
    return Skill(
        name,
        category,
        templates,
        {"word": WORD},
        _from(table),
        _table(table),
        is_classification=bool(labels),
        labels=labels,
        held_out=held_out,
    )


def _make_pair_word(rng: Random, slots: Slots) -> str:
    return rng.choice(words.CATEGORIES[rng.choice(_PAIRS[slots["pair"]])])


def _pair_answer(slots: Slots, text: str) -> str | None:
    kind = words.CATEGORY_OF.get(text)
    return kind if kind in _PAIRS[slots["pair"]] else None


def _make_is(rng: Random, slots: Slots) -> str:
    kind = words.WITH_ARTICLE[slots["cat"]]
    if rng.random() < 0.5:
        return rng.choice(words.CATEGORIES[kind])
    return rng.choice([w for w in words.CATEGORY_OF if words.CATEGORY_OF[w] != kind])


def _is(slots: Slots, text: str) -> str | None:
    kind = words.CATEGORY_OF.get(text)
    return None if kind is None else "yes" if kind == words.WITH_ARTICLE[slots["cat"]] else "no"


def _neighbour(row: tuple[str, ...], step: int) -> dict[str, str]:
    return {w: row[(i + step) % len(row)] for i, w in enumerate(row)}


_MEANING = {
    **{f"{a}, {b}": "opposite" for a, b in words.OPPOSITES.items()},
    **{f"{a}, {b}": "same" for a, b in words.SYNONYMS.items()},
}
_NUMBER_FORM = {
    **dict.fromkeys(words.PLURALS, "singular"),
    **dict.fromkeys(words.SINGULARS, "plural"),
}
_THING_KIND = (
    dict.fromkeys(words.NAMES + words.JOBS, "person")
    | dict.fromkeys(words.CITIES + words.PLACES, "place")
    | dict.fromkeys(words.TOOLS + words.CLOTHES + words.FURNITURE + words.FOODS, "thing")
)
_WEEK = {day: "weekend" if day[0] == "S" else "weekday" for day in words.DAYS}
_TENSE_FORM = {base: forms[1] for base, forms in words.VERBS.items()}
_RHYME_GROUP = {w: group for group in words.RHYMES for w in group}


def _rhymes(slots: Slots, text: str, output: str) -> bool:
    group = _RHYME_GROUP.get(text, ())
    return output.strip().rstrip(".") in group and output.strip().rstrip(".") != text


def _write_rhyme(rng: Random, slots: Slots, text: str) -> str:
    return rng.choice([w for w in _RHYME_GROUP[text] if w != text])


SKILLS: tuple[Skill, ...] = (
    Skill(
        "either_kind",
        "Textual Entailment",
        (
            "Is it {pair}?",
            "Does the {word} name {pair}?",
            "Decide whether the {word} means {pair}.",
            "Classify the {word}: {pair}?",
            "You are given a {word}. Say if it is {pair}.",
            "Tell me if this is {pair}.",
            "Choose the right label: {pair}.",
            "What is it, {pair}?",
            "Sort the {word} into one of two boxes: {pair}.",
            "Pick one: is the {word} {pair}?",
            "Read the {word} and state whether it is {pair}.",
            "Of the two kinds, {pair}, which one fits?",
        ),
        {"word": WORD, "pair": tuple(_PAIRS)},
        _make_pair_word,
        _pair_answer,
        is_classification=True,
        labels=_PAIR_NAMES,
    ),
    Skill(
        "is_kind",
        "Textual Entailment",
        (
            "Is this {cat}? Answer yes or no.",
            "Does the {word} name {cat}? Reply yes or no.",
            "Decide if the {word} stands for {cat}, yes or no.",
            "Say yes if the {word} is {cat}, otherwise say no.",
            "You are given a {word}. Is it {cat}, yes or no?",
            "Tell me whether the {word} means {cat}.",
            "Check whether it is {cat} and answer yes or no.",
            "Would you call this {cat}? Answer with yes or no.",
            "Answer yes for {cat} and no for anything else.",
            "True or not: the {word} is {cat}. Write yes or no.",
            "Can this be called {cat}, yes or no?",
            "Judge if the {word} refers to {cat}.",
        ),
        {"word": WORD, "cat": tuple(words.WITH_ARTICLE)},
        _make_is,
        _is,
        is_classification=True,
        labels=("yes", "no"),
    ),
    table_skill(
        "kind_of_word",
        "Keyword Tagging",
        words.CATEGORY_OF,
        (
            "Name the category of the {word}.",
            "What kind of thing is it?",
            "To which class does the {word} belong?",
            "Give the group that the {word} is part of[, such as animal or tool].",
            "Label the {word} with its category.",
            "Which category fits the {word}[: animal, fruit, tool or something else]?",
            "Tag the {word} with its kind.",
            "You are given a {word}. Write its category.",
            "Say what sort of thing the {word} names.",
            "Classify the {word} by its kind.",
            "Assign a category to the {word}.",
            "Under which heading would you file the {word}?",
        ),
        labels=tuple(words.CATEGORIES),
    ),
    table_skill(
        "opposite",
        "Word Analogy",
        words.OPPOSITES,
        (
            "Write the opposite of the {word}.",
            "What is the opposite?",
            "Give a word with the contrary meaning.",
            "Name the antonym[ of the {word}].",
            "Which word means the reverse?",
            "You are given a {word}. Return its opposite.",
            "Turn the {word} into its opposite.",
            "Find the word that says the contrary.",
            "Tell me the antonym of this {word}.",
            "Replace the {word} by its opposite.",
            "Say the contrary of the {word}.",
            "What word would mean just the opposite of this {word}?",
        ),
    ),
    table_skill(
        "synonym",
        "Word Analogy",
        words.SYNONYMS,
        (
            "Write a synonym of the {word}.",
            "Give another word with the same meaning.",
            "What is a different word for this?",
            "Name a synonym[ for the {word}].",
            "Which other word means the same?",
            "You are given a {word}. Return a synonym.",
            "Replace the {word} by one of equal meaning.",
            "Find a word that means the same thing.",
            "Tell me another way to say the {word}.",
            "Say the same with another word.",
            "Swap the {word} for a synonym.",
            "What word could stand in its place without changing the meaning?",
        ),
    ),
    table_skill(
        "day_after",
        "Word Analogy",
        _neighbour(words.DAYS, 1),
        (
            "Which day comes after this one?",
            "Name the next day of the week.",
            "What day is tomorrow if this is today?",
            "Write the day that follows.",
            "Give the weekday right after it.",
            "You are given a day. Return the day after it.",
            "Tell me the following day.",
            "Go one day forward in the week.",
            "State which day comes next.",
            "If today is the given day, what is tomorrow?",
            "Move on by a single day. Which day is it?",
            "The given day is over. What day begins?",
        ),
    ),
    table_skill(
        "day_before",
        "Word Analogy",
        _neighbour(words.DAYS, -1),
        (
            "Which day comes before this one?",
            "Name the previous day of the week.",
            "What day was yesterday if this is today?",
            "Write the day that comes just before.",
            "Give the weekday right before it.",
            "You are given a day. Return the day before it.",
            "Tell me the preceding day.",
            "Go one day back in the week.",
            "State which day was the one before.",
            "If today is the given day, what was yesterday?",
            "Step back by a single day. Which day is it?",
            "On which day did the day before fall?",
        ),
    ),
    table_skill(
        "month_after",
        "Word Analogy",
        _neighbour(words.MONTHS, 1),
        (
            "Which month comes after this one?",
            "Name the next month of the year.",
            "Write the month that follows.",
            "Give the month right after it.",
            "You are given a month. Return the month after it.",
            "Tell me the following month.",
            "Go one month forward in the year.",
            "State which month comes next.",
            "Turn the page of the calendar. Which month is it now?",
            "What will the next month be called?",
            "Move on by a single month. Where do you arrive?",
            "The given month is over. What month begins?",
        ),
    ),
    table_skill(
        "month_before",
        "Word Analogy",
        _neighbour(words.MONTHS, -1),
        (
            "Which month comes before this one?",
            "Name the previous month.",
            "Write the month that comes just before.",
            "Give the month right before it.",
            "You are given a month. Return the month before it.",
            "Tell me the preceding month.",
            "Go one month back in the year.",
            "State which month was the one before.",
            "What was the last month called?",
            "Turn the calendar back by one page. Which month do you see?",
            "Step back by a single month. Where do you arrive?",
            "Which month had just ended when this one began?",
        ),
        held_out=True,
    ),
    table_skill(
        "season",
        "Keyword Tagging",
        words.SEASONS,
        (
            "In which season is this month[ in the north]?",
            "Name the season of the month.",
            "Is the month in winter, spring, summer or autumn?",
            "Give the season that the month belongs to.",
            "You are given a month. Return its season.",
            "Label the month with a season.",
            "Which season does the month fall in?",
            "Tell me what season it is in that month.",
            "Sort the month into one of the four seasons.",
            "What time of the year is it: winter, spring, summer or autumn?",
            "State the season for the month.",
            "Match the month with its season.",
        ),
        labels=("winter", "spring", "summer", "autumn"),
    ),
    table_skill(
        "weekend",
        "Keyword Tagging",
        _WEEK,
        (
            "Is the day a weekday or part of the weekend?",
            "Label the day as weekday or weekend.",
            "Weekend or weekday?",
            "Say whether the day is a weekday or in the weekend.",
            "You are given a day. Tell if it is weekday or weekend.",
            "Classify the day: weekday or weekend.",
            "Do people mostly work on this day? Answer weekday or weekend.",
            "Choose weekday or weekend for the day.",
            "Sort the day into weekday or weekend.",
            "Which fits the day, weekday or weekend?",
            "Mark the day with the word weekday or the word weekend.",
            "State if this day counts as weekend or weekday.",
        ),
        labels=("weekday", "weekend"),
    ),
    table_skill(
        "next_letter",
        "Word Analogy",
        dict(zip(words.LETTERS, words.LETTERS[1:], strict=False)),
        (
            "Which letter comes next in the alphabet?",
            "Write the letter after this one.",
            "Name the following letter of the alphabet.",
            "Give the next letter.",
            "You are given a letter. Return the one that follows it.",
            "Go one step on in the alphabet.",
            "What letter stands right after it in the alphabet?",
            "Tell me the letter that follows.",
            "Continue the alphabet by one letter.",
            "State the successor of the letter.",
            "Say the alphabet from here. Which letter do you say next?",
            "Move the letter forward by one.",
        ),
    ),
    table_skill(
        "animal_baby",
        "Word Analogy",
        words.BABIES,
        (
            "What is the young of this animal called?",
            "Name the baby of the animal.",
            "Give the word for the young animal.",
            "How do we call a young one of this animal?",
            "You are given an animal. Return the name of its young.",
            "Write the name of the animal when it is a baby.",
            "Which word means a baby of this animal?",
            "Tell me what the young animal is called.",
            "Turn the animal into its young.",
            "State the special word for its baby.",
            "What do you call the offspring of the animal?",
            "The animal has a little one. What is it called?",
        ),
    ),
    table_skill(
        "animal_sound",
        "Word Analogy",
        words.SOUNDS,
        (
            "What sound does the animal make?",
            "Write the sound of this animal.",
            "Name the noise that the animal makes.",
            "Which word stands for the voice of the animal?",
            "You are given an animal. Return its sound.",
            "How does this animal sound?",
            "Tell me the cry of the animal.",
            "Give the call of this animal.",
            "Say the noise you hear from the animal.",
            "What does the animal say?",
            "When it makes itself heard, what sound comes from the animal?",
            "State the typical cry of this animal.",
        ),
    ),
    table_skill(
        "animal_home",
        "Word Analogy",
        words.HOMES,
        (
            "Where does the animal live? Name its home.",
            "Write the home of this animal.",
            "What do we call the home of the animal?",
            "Give the word for the place where the animal sleeps.",
            "You are given an animal. Return its dwelling.",
            "Name the shelter of the animal.",
            "In what does this animal live?",
            "Tell me the house of the animal.",
            "Which home belongs to the animal?",
            "State where the animal has its home.",
            "What is the lair of this animal called?",
            "To what place does the animal go home?",
        ),
        held_out=True,
    ),
    table_skill(
        "capital_of",
        "Word Analogy",
        words.CAPITALS,
        (
            "What is the capital of the country?",
            "Name the capital city.",
            "Write the capital of this country.",
            "Give the main city of the country, its capital.",
            "You are given a country. Return its capital.",
            "Which city is the capital?",
            "Tell me the capital city of this country.",
            "From which city is the country governed?",
            "State the capital that belongs to the country.",
            "Find the capital for the country.",
            "Match the country with its capital city.",
            "Which capital would you visit in this country?",
        ),
    ),
    table_skill(
        "country_of",
        "Word Analogy",
        {b: a for a, b in words.CAPITALS.items()},
        (
            "Of which country is this the capital?",
            "Name the country that has this capital.",
            "Write the country of the city.",
            "In what country is the city?",
            "You are given a capital. Return its country.",
            "To which country does the city belong?",
            "Tell me the country where this city lies.",
            "Which country is governed from this city?",
            "Give the country for the capital.",
            "Find the country whose capital it is.",
            "State the land in which the city lies.",
            "Match the capital with its country.",
        ),
    ),
    table_skill(
        "job_place",
        "Word Analogy",
        words.JOB_PLACES,
        (
            "Where does this person work?",
            "Name the place of work for the job.",
            "Write where people with this job work.",
            "Give the usual workplace of the job.",
            "You are given a job. Return the place where it is done.",
            "In what place would you find this worker?",
            "Tell me where such a person spends the working day.",
            "Which place goes with the job?",
            "State the place where the job is done.",
            "Match the job with a place.",
            "To which place does this worker go in the morning?",
            "Where would you look for someone with this job?",
        ),
    ),
    table_skill(
        "lives_in",
        "Keyword Tagging",
        words.LIVES_IN,
        (
            "Does the animal live on land, in water or in the air?",
            "Label the animal with land, water or air.",
            "Land, water or air: where is this animal at home?",
            "Choose land, water or air for the animal.",
            "You are given an animal. Say land, water or air.",
            "Where does it move about: land, water or air?",
            "Classify the animal as one of land, water, air.",
            "Tell me if the animal belongs to land, water or air.",
            "Sort the animal into land, water or air.",
            "Name its world: land, water or air.",
            "Which of land, water and air suits the animal?",
            "Is it a creature of the land, of the water or of the air?",
        ),
        labels=("land", "water", "air"),
    ),
    table_skill(
        "travels_by",
        "Keyword Tagging",
        words.TRAVELS_BY,
        (
            "Does the vehicle go by road, rail or water?",
            "Label the vehicle with road, rail or water.",
            "Road, rail or water: how does it travel?",
            "Choose road, rail or water for the vehicle.",
            "You are given a vehicle. Say road, rail or water.",
            "Where does the vehicle move: road, rail or water?",
            "Classify the vehicle as road, rail or water.",
            "Tell me if it needs a road, a rail or water.",
            "Sort the vehicle into road, rail or water.",
            "On what does it run: road, rail or water?",
        ),
        labels=("road", "rail", "water"),
        held_out=True,
    ),
    table_skill(
        "person_place_thing",
        "Keyword Tagging",
        _THING_KIND,
        (
            "Is it a person, a place or a thing?",
            "Label the {word} with person, place or thing.",
            "Person, place or thing?",
            "Choose person, place or thing for the {word}.",
            "You are given a {word}. Say person, place or thing.",
            "Classify the {word} as one of person, place, thing.",
            "Tell me if the {word} names a person, a place or a thing.",
            "Sort the {word} into person, place or thing.",
            "Mark the {word} as person, place or thing.",
            "What does the {word} stand for: person, place or thing?",
            "Which of person, place and thing suits the {word}?",
            "Decide between person, place and thing.",
        ),
        labels=("person", "place", "thing"),
    ),
    table_skill(
        "plural",
        "Grammar Error Correction",
        words.PLURALS,
        (
            "Write the plural of the {word}.",
            "What is the plural form?",
            "Give the form for more than one.",
            "Turn the {word} into the plural.",
            "You are given a {word}. Return its plural.",
            "How do you say two or more of it?",
            "Change the {word} from one to many.",
            "Name the plural[ of this {word}].",
            "Put the {word} in the plural.",
            "Tell me what several of them are called.",
            "One becomes many: write the new form of the {word}.",
            "Which form of the {word} follows the number five?",
        ),
    ),
    table_skill(
        "singular",
        "Grammar Error Correction",
        words.SINGULARS,
        (
            "Write the singular of the {word}.",
            "What is the singular form?",
            "Give the form for just one.",
            "Turn the {word} into the singular.",
            "You are given a plural. Return the singular.",
            "How do you say only one of them?",
            "Change the {word} from many to one.",
            "Name the singular[ of this {word}].",
            "Put the {word} in the singular.",
            "Tell me what a single one is called.",
            "Many become one: write the new form of the {word}.",
            "Which form of the {word} follows the number one?",
        ),
    ),
    table_skill(
        "singular_or_plural",
        "Keyword Tagging",
        _NUMBER_FORM,
        (
            "Is the {word} singular or plural?",
            "Label the {word} as singular or plural.",
            "Singular or plural?",
            "Say if the {word} means one or many, with singular or plural.",
            "You are given a {word}. Tell if it is singular or plural.",
            "Classify the {word}: singular or plural.",
            "Choose singular or plural for the {word}.",
            "Decide between singular and plural.",
            "Does the {word} mean one thing or several? Write singular or plural.",
            "Which number has the {word}, singular or plural?",
            "Mark the {word} as plural or singular.",
            "State whether this is a singular or a plural form.",
        ),
        labels=("singular", "plural"),
    ),
    table_skill(
        "past_tense",
        "Grammar Error Correction",
        _TENSE_FORM,
        (
            "Write the past tense of the verb.",
            "What is the past form of the verb?",
            "Put the verb in the past.",
            "Give the form of the verb for yesterday.",
            "You are given a verb. Return its past tense.",
            "Turn the verb into the past tense.",
            "Change the verb from now to then.",
            "Name the simple past[ of the verb].",
            "Tell me how the verb sounds in the past.",
            "Which form of the verb goes with yesterday?",
            "It happened last year: write the verb in that form.",
            "Conjugate the verb for the past.",
        ),
    ),
    table_skill(
        "meaning_pair",
        "Word Analogy",
        _MEANING,
        (
            "Do the two words mean the same or the opposite?",
            "Label the pair as same or opposite.",
            "Same or opposite?",
            "Say if the words have the same or the opposite meaning.",
            "You are given two words. Tell if their meaning is same or opposite.",
            "Classify the pair of words: same or opposite.",
            "Are the words synonyms or antonyms? Write same or opposite.",
            "Choose same or opposite for the two words.",
            "Compare the meanings and answer same or opposite.",
            "Decide between same and opposite for this pair.",
            "How are the words related, same or opposite?",
            "Mark the pair with same when the meanings agree, else with opposite.",
        ),
        labels=("same", "opposite"),
    ),
    Skill(
        "rhyme_word",
        "Word Analogy",
        (
            "Write a word that rhymes with the {word}.",
            "Find a rhyme.",
            "Which word rhymes with it?",
            "Give a rhyming word.",
            "You are given a {word}. Return one that rhymes.",
            "Name a word with the same ending sound.",
            "Tell me something that rhymes with the {word}.",
            "What could a poet rhyme with this {word}?",
            "Look for a word that sounds alike at the end.",
            "Make a rhyme for the {word}.",
            "Say a word that ends with the same sound as the {word}.",
            "Help a poet: what goes with this {word} in rhyme?",
        ),
        {"word": WORD},
        _from(_RHYME_GROUP),
        lambda s, t: next((w for w in _RHYME_GROUP.get(t, ()) if w != t), None),
        checker=_rhymes,
        write=_write_rhyme,
    ),
    Skill(
        "unit_fact",
        "Data to Text",
        (
            "How many {fact}? Answer with a number.",
            "Give the number of {fact}.",
            "Write the number of {fact}.",
            "Tell me how many {fact} there are.",
            "State the count of {fact}.",
            "What is the number of {fact}?",
            "I need to know the number of {fact}.",
            "Say how many {fact} one finds.",
            "In figures, how many {fact}?",
            "Do you know how many {fact}? Write the number.",
            "Recall the number of {fact}.",
            "A child asks how many {fact}. What do you say?",
        ),
        {"fact": tuple(words.UNIT_FACTS)},
        no_input,
        lambda s, t: words.UNIT_FACTS[s["fact"]] if not t else None,
    ),
)
