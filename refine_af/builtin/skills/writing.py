"""Skills that write a short text from the instruction alone, and skills on records."""

from __future__ import annotations

import re
from random import Random

from refine_af.builtin import words
from refine_af.builtin.skills.core import Answer, Skill, Slots, no_input, normalise
from refine_af.builtin.skills.phrasing import article, read_words

_TIMES = {
    "morning": "Good morning",
    "afternoon": "Good afternoon",
    "evening": "Good evening",
    "night": "Good night",
}
_COUNTS = {"twice": 2, "three times": 3, "four times": 4}
_FIELDS = ("name", "age", "city", "job")
_RECORD = re.compile(r"name: (\w+); age: (\d\d); city: (\w+); job: (\w+)")
_NAMES = words.NAMES
_NUMBERS = tuple(str(n) for n in range(3, 10))


def _alone(text: str) -> bool:
    return not text


def _record(rng: Random, slots: Slots) -> str:
    return (
        f"name: {rng.choice(_NAMES)}; age: {rng.randint(11, 89)};"
        f" city: {rng.choice(words.CITIES)}; job: {rng.choice(words.JOBS)}"
    )


def _field(slots: Slots, text: str) -> str | None:
    match = _RECORD.fullmatch(text)
    return match[1 + _FIELDS.index(slots["field"])] if match else None


def _sentence(slots: Slots, text: str) -> str | None:
    match = _RECORD.fullmatch(text)
    if match is None:
        return None
    person, job = f"{match[1]} is {match[2]} years old", article(match[4])
    return f"{person}, lives in {match[3]} and works as {job}."


def _job_sentence(slots: Slots, text: str) -> str | None:
    match = _RECORD.fullmatch(text)
    return f"{match[1]} is {article(match[4])} from {match[3]}." if match else None


def _three(slots: Slots, text: str) -> str | None:
    return None if text else ", ".join(_pool(slots)[:3])


def _pool(slots: Slots) -> tuple[str, ...]:
    return words.CATEGORIES[words.CATEGORY_PLURAL[slots["cats"]]]


def _write_three(rng: Random, slots: Slots, text: str) -> str:
    return ", ".join(rng.sample(_pool(slots), 3))


def _check_three(slots: Slots, text: str, output: str) -> bool:
    found = read_words(normalise(output), 3, 3)
    pool = _pool(slots)
    return found is not None and len(set(found)) == 3 and all(w in pool for w in found)


def _one_of(slots: Slots, text: str) -> str | None:
    return words.CATEGORIES[words.WITH_ARTICLE[slots["cat"]]][0] if not text else None


def _write_one(rng: Random, slots: Slots, text: str) -> str:
    return rng.choice(words.CATEGORIES[words.WITH_ARTICLE[slots["cat"]]])


def _check_one(slots: Slots, text: str, output: str) -> bool:
    return normalise(output) in words.CATEGORIES[words.WITH_ARTICLE[slots["cat"]]]


def _use_word(rng: Random, slots: Slots, text: str) -> str:
    name, adjective = rng.choice(_NAMES), rng.choice(words.COLOURS)
    frames = (
        f"{name} found {article(slots['word'])} in the {rng.choice(words.PLACES)}.",
        f"The {slots['word']} in the {rng.choice(words.PLACES)} is {adjective}.",
        f"{name} has {article(adjective)} {slots['word']}.",
    )
    return rng.choice(frames)


def _check_use(slots: Slots, text: str, output: str) -> bool:
    found = output.strip().rstrip(".").split()
    return (
        output.strip().endswith(".")
        and output[:1].isupper()
        and 4 <= len(found) <= 20
        and slots["word"] in found
    )


def _fixed(template: str) -> Answer:
    def answer(slots: Slots, text: str) -> str | None:
        return None if text else template.format(**slots)

    return answer


def _story(slots: Slots, text: str) -> str | None:
    if text:
        return None
    return (
        f"Once {article(slots['animal'])} lived in the {slots['place']}. One day it met"
        f" {article(slots['other'])}. They became friends."
    )


SKILLS: tuple[Skill, ...] = (
    Skill(
        "record_field",
        "Data to Text",
        (
            "Write the {field} from the record.",
            "What is the {field} in the record?",
            "Copy the field {field}.",
            "Give the {field} of the person in the record.",
            "You are given a record. Return the {field}.",
            "Look up the {field}.",
            "Read the {field} out of the data.",
            "Extract the {field} from the data row.",
            "Which {field} does the record hold?",
            "Find the entry under {field}.",
            "What stands in the record after {field}?",
            "Report the value of {field}.",
        ),
        {"field": _FIELDS},
        _record,
        _field,
    ),
    Skill(
        "record_sentence",
        "Data to Text",
        (
            "Write the record as a sentence.",
            "Turn the data into a full sentence.",
            "Put the record into words.",
            "Make one sentence of the record.",
            "You are given a record. Return it as text.",
            "Describe the person of the record in a sentence.",
            "Convert the fields to a sentence.",
            "Tell in a sentence what the record says.",
            "Use all fields of the data in one sentence.",
            "Express the record in plain English.",
            "Compose a sentence out of the data row.",
            "Read the fields and say them as a sentence.",
        ),
        {},
        _record,
        _sentence,
    ),
    Skill(
        "record_intro",
        "Data to Text",
        (
            "Introduce the person with job and city only.",
            "Write a short sentence with the job and the city of the record.",
            "Say who the person is and where from, in one sentence.",
            "From the data, give name, job and city as a sentence.",
            "Leave out the age and introduce the person.",
            "Present the person by job and home city.",
            "Make an introduction without the age.",
            "State the job and the city of the person in a sentence.",
            "Write a line that tells job and city.",
            "Sum up the record by name, job and city.",
        ),
        {},
        _record,
        _job_sentence,
        held_out=True,
    ),
    Skill(
        "list_three",
        "Keyword Tagging",
        (
            "List three {cats}.",
            "Name three {cats}.",
            "Give me the names of three {cats}.",
            "Write down three {cats}.",
            "Which three {cats} come to mind?",
            "I need three {cats}.",
            "Suggest three {cats}.",
            "Think of three {cats} and list them.",
            "Make a list of three {cats}.",
            "Tell me any three {cats}.",
            "Can you come up with three {cats}?",
            "For a game, say three {cats}.",
        ),
        {"cats": tuple(words.CATEGORY_PLURAL)},
        no_input,
        _three,
        checker=_check_three,
        write=_write_three,
    ),
    Skill(
        "name_one",
        "Keyword Tagging",
        (
            "Name {cat}.",
            "Give one example of {cat}.",
            "Write a word for {cat}.",
            "Think of {cat} and write it down.",
            "Tell me {cat} that you know.",
            "What is an example of {cat}?",
            "I am looking for {cat}. Suggest one.",
            "Say any word that names {cat}.",
            "Mention {cat}.",
            "Which word comes to mind for {cat}?",
            "Can you give me an instance of {cat}?",
            "For a crossword, propose {cat}.",
        ),
        {"cat": tuple(words.WITH_ARTICLE)},
        no_input,
        _one_of,
        checker=_check_one,
        write=_write_one,
    ),
    Skill(
        "repeat_word",
        "Data to Text",
        (
            "Write the word {word} {times}.",
            "Repeat {word} {times}.",
            "Say {word} {times}, with commas.",
            "Print {word} {times} in a row.",
            "Copy out the word {word} {times}.",
            "Put down {word} {times}.",
            "I want to read {word} {times}.",
            "Type {word} {times}.",
            "Let me see the word {word} {times}.",
            "Make a row that has {word} {times}.",
            "Note the word {word} {times}.",
            "State {word} {times} over.",
        ),
        {"word": words.NOUNS, "times": tuple(_COUNTS)},
        no_input,
        lambda s, t: ", ".join([s["word"]] * _COUNTS[s["times"]]) if _alone(t) else None,
    ),
    Skill(
        "count_to",
        "Data to Text",
        (
            "Count from 1 to {n}.",
            "Write the numbers from 1 to {n}.",
            "List all numbers up to {n}, starting with 1.",
            "Count up to {n}.",
            "Say the numbers 1 to {n} in order.",
            "Give the counting row that ends with {n}.",
            "Begin with 1 and count to {n}.",
            "Print every number between 1 and {n}, both included.",
            "Show how a child counts to {n}.",
            "Write a row of numbers from 1 up to {n}.",
            "Enumerate 1 through {n}.",
            "Start at 1 and stop counting at {n}.",
        ),
        {"n": _NUMBERS},
        no_input,
        lambda s, t: ", ".join(map(str, range(1, int(s["n"]) + 1))) if _alone(t) else None,
    ),
    Skill(
        "greet",
        "Dialogue Act Recognition",
        (
            "Greet {name} in the {time}.",
            "Write a greeting for {name} in the {time}.",
            "How do you greet {name} in the {time}?",
            "It is {time}. Say hello to {name}.",
            "Give the right {time} greeting for {name}.",
            "Make a {time} greeting for {name}.",
            "You meet {name} in the {time}. What do you say?",
            "Wish {name} well in the {time}.",
            "Compose the {time} greeting that {name} should hear.",
            "Address {name} with a {time} greeting.",
            "In the {time}, {name} comes in. Greet politely.",
            "Which words welcome {name} in the {time}?",
        ),
        {"name": _NAMES, "time": tuple(_TIMES)},
        no_input,
        lambda s, t: f"{_TIMES[s['time']]}, {s['name']}." if _alone(t) else None,
    ),
    Skill(
        "thank_note",
        "Dialogue Act Recognition",
        (
            "Write a short note to thank {name} for the {gift}.",
            "Thank {name} for the {gift}.",
            "Compose a thank you note to {name} for the {gift}.",
            "Write two sentences that thank {name} for the {gift}.",
            "{name} gave me a present, the {gift}. Write a note of thanks.",
            "Draft a kind thank you to {name} about the {gift}.",
            "Send thanks to {name} for the {gift}.",
            "I got the {gift} from {name}. Help me say thanks.",
            "Write to {name} and express thanks for the {gift}.",
            "Make a card of thanks to {name} for the {gift}.",
            "How could I thank {name} in writing for the {gift}?",
            "The {gift} came from {name}. Answer with a grateful note.",
        ),
        {"name": _NAMES, "gift": words.GIFTS},
        no_input,
        _fixed("Dear {name}, thank you for the {gift}. I like it very much."),
    ),
    Skill(
        "invite",
        "Dialogue Act Recognition",
        (
            "Invite {name} to the {event} on {day}.",
            "Write an invitation to {name} for the {event} on {day}.",
            "Ask {name} to come to the {event} on {day}.",
            "Compose a short invitation: {event}, {day}, for {name}.",
            "Draft a message that invites {name} to a {event} on {day}.",
            "Help me invite {name}. There is a {event} on {day}.",
            "Write to {name} about the {event} on {day} and ask for company.",
            "Make an invitation card for {name} to the {event} on {day}.",
            "On {day} there is a {event}. Invite {name}.",
            "Send {name} an invitation to the {event} on {day}.",
            "What would you write to have {name} at the {event} on {day}?",
            "The {event} is on {day}. Write the invitation that {name} will get.",
        ),
        {"name": _NAMES, "event": words.EVENTS, "day": words.DAYS},
        no_input,
        _fixed("Dear {name}, please come to the {event} on {day}. We will be glad to see you."),
    ),
    Skill(
        "tiny_story",
        "Title Generation",
        (
            "Write a tiny story about a meeting of {animal} and {other} in the {place}.",
            "Tell a short story: {animal}, {other}, {place}.",
            "Make up a story in which {animal} meets {other} in the {place}.",
            "Invent a story with {animal} and {other} in the {place}.",
            "Tell how {animal} and {other} became friends in the {place}.",
            "Give me a bedtime story about {animal} and {other} in the {place}.",
            "Write three sentences about {animal} and {other} in the {place}.",
            "Compose a little tale of {animal} and {other} set in the {place}.",
            "A story please, with {animal}, {other} and the {place}.",
            "Narrate how {animal} found a friend, {other}, in the {place}.",
            "Tell a tale for children: {animal} meets {other} in the {place}.",
            "In the {place} live {animal} and {other}. Write their story.",
        ),
        {"animal": words.ANIMALS, "other": words.ANIMALS, "place": words.PLACES},
        no_input,
        _story,
        allowed=lambda s: s["animal"] != s["other"],
    ),
    Skill(
        "use_in_sentence",
        "Data to Text",
        (
            "Write a sentence with the word {word}.",
            "Use {word} in a sentence.",
            "Make a short sentence that contains {word}.",
            "Form a sentence with {word}.",
            "Give an example sentence for {word}.",
            "Show how {word} is used in a sentence.",
            "Compose one sentence about {word}.",
            "I need a sentence in which {word} occurs.",
            "Put the word {word} into a sentence.",
            "Build a sentence around {word}.",
            "Write something short that mentions {word}.",
            "Teach the word {word} by an example sentence.",
        ),
        {"word": words.ANIMALS + words.TOOLS + words.CLOTHES},
        no_input,
        lambda s, t: f"Anna has a {s['word']}." if _alone(t) else None,
        checker=_check_use,
        write=_use_word,
    ),
    Skill(
        "ask_favourite",
        "Question Rewriting",
        (
            "Ask {name} about a favourite {kind}.",
            "Write a question to {name} about the best {kind}.",
            "Which question finds out the favourite {kind} of {name}?",
            "Ask {name} which {kind} is liked most.",
            "Make a question for {name} on the topic {kind}.",
            "I want to know which {kind} {name} likes best. Write the question.",
            "Compose an interview question for {name} about a {kind}.",
            "Find out from {name} the most loved {kind}.",
            "Pose a question to {name} about a preferred {kind}.",
            "Put a question to {name}: favourite {kind}.",
            "How do I ask {name} for the {kind} that is liked most?",
            "Interview {name} about the favourite {kind}.",
        ),
        {"name": _NAMES, "kind": tuple(words.CATEGORIES)},
        no_input,
        _fixed("{name}, what is your favourite {kind}?"),
    ),
    Skill(
        "make_plan",
        "Data to Text",
        (
            "Make a plan for a {event} on {day}.",
            "Plan a {event} for {day}.",
            "Write the steps to prepare a {event} on {day}.",
            "How should I prepare the {event} on {day}?",
            "List three steps for a {event} on {day}.",
            "Help me to plan the {event} of {day}.",
            "Give a short plan for the {event} on {day}.",
            "What is to be done before the {event} on {day}?",
            "Set up a plan: {event}, {day}.",
            "Draw up the steps for a {event} that is on {day}.",
            "There will be a {event} on {day}. What must be done?",
            "Organise the {event} on {day} in three steps.",
        ),
        {"event": words.EVENTS, "day": words.DAYS},
        no_input,
        _fixed("1. Invite the guests. 2. Prepare the {event}. 3. Welcome everybody on {day}."),
    ),
    Skill(
        "birthday_wish",
        "Title Generation",
        (
            "Write a birthday wish for {name}, who is now {age}.",
            "Wish {name} a happy birthday, number {age}.",
            "Make a birthday card for {name} at {age}.",
            "{name} turns {age} today. Write a wish.",
            "Compose a birthday message for {name}, aged {age}.",
            "What do you write to {name} on birthday number {age}?",
            "Send birthday wishes to {name}, {age} years old.",
            "Congratulate {name} on turning {age}.",
            "Give a toast to {name} on birthday {age}.",
            "Draft a line for the birthday of {name}, who becomes {age}.",
            "Help me with a wish: {name}, birthday, {age}.",
            "Put a wish on the cake of {name}, now {age}.",
        ),
        {"name": _NAMES, "age": tuple(str(n) for n in range(5, 100))},
        no_input,
        _fixed("Happy birthday, {name}! All the best for {age}."),
    ),
)
