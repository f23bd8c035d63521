"""Skills on one or two sentences: extract, judge, rewrite."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from refine_af.builtin import words
from refine_af.builtin.skills.core import Skill, Slots
from refine_af.builtin.skills.phrasing import TEXT, article

THINGS = words.TOOLS + words.CLOTHES + words.FURNITURE + words.VEHICLES
_NAME = "|".join(words.NAMES)
_COLOUR = "|".join(words.COLOURS)
_THING = "|".join(THINGS)
_PLACE = "|".join(words.PLACES)
_CITY = "|".join(words.CITIES)
_FEELING = "|".join(words.FEELINGS)

# "Anna found a red chair in the park."
_SCENE = re.compile(
    rf"({_NAME}) ({'|'.join(words.SEEN_VERBS)}) an? ({_COLOUR}) ({_THING}) in the ({_PLACE})\."
)
# "Tom is 34 years old and lives in Rome."
_PERSON = re.compile(rf"({_NAME}) is (\d\d) years old and lives in ({_CITY})\.")
# "The old cat slept in the park."
_PAST_OF = {forms[1]: base for base, forms in words.VERBS.items()}
_ANIMAL_DOES = re.compile(
    rf"The ({'|'.join(words.ADJECTIVES)}) ({'|'.join(words.ANIMALS)}) (\w+) in the ({_PLACE})\."
)
_STATE = re.compile(rf"({_NAME}) is ({_FEELING})\.")
_LIVES = re.compile(rf"({_NAME}) lives in ({_CITY})\.")
_LIKES = re.compile(rf"({_NAME}) likes ({'|'.join(words.DRINKS + words.FOODS)})\.")
_DOES = re.compile(rf"({_NAME}) (\w+) in the ({_PLACE})\.")


def _scene(rng: Random, slots: Slots) -> str:
    colour = rng.choice(words.COLOURS)
    return (
        f"{rng.choice(words.NAMES)} {rng.choice(words.SEEN_VERBS)} {article(colour)}"
        f" {rng.choice(THINGS)} in the {rng.choice(words.PLACES)}."
    )


def _person(rng: Random, slots: Slots) -> str:
    return (
        f"{rng.choice(words.NAMES)} is {rng.randint(11, 89)} years old and lives in"
        f" {rng.choice(words.CITIES)}."
    )


def _animal_does(rng: Random, slots: Slots) -> str:
    verb = words.VERBS[rng.choice(words.PLACE_VERBS)][1]
    return (
        f"The {rng.choice(words.ADJECTIVES)} {rng.choice(words.ANIMALS)} {verb} in the"
        f" {rng.choice(words.PLACES)}."
    )


def _state(rng: Random, slots: Slots) -> str:
    return f"{rng.choice(words.NAMES)} is {rng.choice(words.FEELINGS)}."


def _lives(rng: Random, slots: Slots) -> str:
    return f"{rng.choice(words.NAMES)} lives in {rng.choice(words.CITIES)}."


def _likes(rng: Random, slots: Slots) -> str:
    return f"{rng.choice(words.NAMES)} likes {rng.choice(words.DRINKS + words.FOODS)}."


def _does(column: int) -> Callable[[Random, Slots], str]:
    def make(rng: Random, slots: Slots) -> str:
        base = rng.choice(words.PLACE_VERBS)
        verb = base if column < 0 else words.VERBS[base][column]
        return f"{rng.choice(words.NAMES)} {verb} in the {rng.choice(words.PLACES)}."

    return make


def _group(pattern: re.Pattern[str], number: int) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        match = pattern.fullmatch(text)
        return match[number] if match else None

    return answer


def _format(
    pattern: re.Pattern[str], build: Callable[[re.Match[str]], str | None]
) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        match = pattern.fullmatch(text)
        return build(match) if match else None

    return answer


def _past_animal(match: re.Match[str]) -> str | None:
    base = _PAST_OF.get(match[3])
    return f"The {match[1]} {match[2]} did not {base} in the {match[4]}." if base else None


def _who_did(match: re.Match[str]) -> str | None:
    return f"Who {match[2]} in the {match[3]}?" if match[2] in _PAST_OF else None


def _where_did(match: re.Match[str]) -> str | None:
    base = _PAST_OF.get(match[2])
    return f"Where did {match[1]} {base}?" if base else None


def _third_to_past(match: re.Match[str]) -> str | None:
    for _base, (third, past, _ing) in words.VERBS.items():
        if third == match[2]:
            return f"{match[1]} {past} in the {match[3]}."
    return None


def _fix_agreement(match: re.Match[str]) -> str | None:
    forms = words.VERBS.get(match[2])
    return f"{match[1]} {forms[0]} in the {match[3]}." if forms else None


def _will(match: re.Match[str]) -> str | None:
    for base, (third, _past, _ing) in words.VERBS.items():
        if third == match[2]:
            return f"{match[1]} will {base} in the {match[3]}."
    return None


def _pronoun(name: str) -> str:
    return "She" if name in words.WOMEN else "He"


def _make_article(rng: Random, slots: Slots) -> str:
    name, noun = rng.choice(words.NAMES), rng.choice(words.ANIMALS + words.FRUITS)
    wrong = "a" if noun[0] in "aeiou" else "an"
    return f"{name} saw {wrong} {noun}."


def _fix_article(slots: Slots, text: str) -> str | None:
    match = re.fullmatch(rf"({_NAME}) saw (an?) ([a-z]+)\.", text)
    return f"{match[1]} saw {article(match[3])}." if match else None


def _make_bare(rng: Random, slots: Slots) -> str:
    return rng.choice((_state, _lives, _likes))(rng, slots)[:-1]


def _add_stop(slots: Slots, text: str) -> str | None:
    whole = text + "."
    fits = any(p.fullmatch(whole) for p in (_STATE, _LIVES, _LIKES))
    return whole if fits else None


_OPINION = re.compile(rf"The (\w+) was ({'|'.join(words.GOOD + words.BAD)})\.")
_RATED = words.FOODS + words.EVENTS + words.DRINKS


def _make_opinion(rng: Random, slots: Slots) -> str:
    return f"The {rng.choice(_RATED)} was {rng.choice(words.GOOD + words.BAD)}."


def _two_people(rng: Random, slots: Slots) -> str:
    woman, man = rng.choice(words.WOMEN), rng.choice(words.MEN)
    first, second = (woman, man) if rng.random() < 0.5 else (man, woman)
    pronoun = rng.choice(("She", "He"))
    return f"{first} met {second}. {pronoun} was {rng.choice(words.FEELINGS)}."


_MET = re.compile(rf"({_NAME}) met ({_NAME})\. (She|He) was ({_FEELING})\.")


def _who_pronoun(slots: Slots, text: str) -> str | None:
    match = _MET.fullmatch(text)
    if match is None:
        return None
    group = words.WOMEN if match[3] == "She" else words.MEN
    hits = [name for name in (match[1], match[2]) if name in group]
    return hits[0] if len(hits) == 1 else None


_ACTS: dict[str, tuple[str, ...]] = {
    "question": (
        "Where is the {t}?",
        "Do you like {f}?",
        "What is in the {p}?",
        "Who found the {t}?",
        "Is the {t} new?",
        "Can you see the {p}?",
    ),
    "request": (
        "Please bring me the {t}.",
        "Close the {t}, please.",
        "Go to the {p} now.",
        "Give me some {f}, please.",
        "Take the {t} to the {p}.",
        "Please clean the {p}.",
    ),
    "statement": (
        "The {t} is in the {p}.",
        "I like {f}.",
        "We have a new {t}.",
        "My {t} is old.",
        "There is {f} on the table.",
        "The {p} is big.",
    ),
    "thanks": (
        "Thank you for the {t}.",
        "Thanks for the {f}.",
        "I am grateful for the {t}.",
        "Many thanks for the {f}.",
        "Thank you for the trip to the {p}.",
        "Thanks, the {t} is great.",
    ),
    "greeting": (
        "Hello, {n}.",
        "Good morning, {n}.",
        "Hi {n}, nice to see you.",
        "Good evening, {n}.",
        "Welcome back, {n}.",
        "Hello {n}, how are you?",
    ),
}


def _act_pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text)
    for mark in "tfpn":
        escaped = escaped.replace(rf"\{{{mark}\}}", "[A-Za-z]+")
    return re.compile(escaped)


_ACT_PATTERNS = [(act, _act_pattern(t)) for act, texts in _ACTS.items() for t in texts]


def _make_act(rng: Random, slots: Slots) -> str:
    text = rng.choice(_ACTS[rng.choice(tuple(_ACTS))])
    return text.format(
        t=rng.choice(THINGS),
        f=rng.choice(words.FOODS),
        p=rng.choice(words.PLACES),
        n=rng.choice(words.NAMES),
    )


def _act(slots: Slots, text: str) -> str | None:
    return next((act for act, pattern in _ACT_PATTERNS if pattern.fullmatch(text)), None)


_POLITE = (
    "Could you please open the {t}?",
    "Would you kindly bring the {t}?",
    "Please help me with the {t}.",
    "May I ask you to move the {t}?",
    "Would you mind closing the {t}?",
)
_RUDE = (
    "Open the {t} at once!",
    "Bring the {t} now!",
    "Move that {t}, quick!",
    "Get me the {t} and hurry!",
    "Give me that {t} right now!",
)
_POLITE_PATTERNS = [("polite", _act_pattern(t)) for t in _POLITE] + [
    ("rude", _act_pattern(t)) for t in _RUDE
]


def _polite(slots: Slots, text: str) -> str | None:
    return next((kind for kind, pattern in _POLITE_PATTERNS if pattern.fullmatch(text)), None)


_QUESTIONS: dict[str, str] = {
    "What colour is it?": "colour",
    "Who was it?": "name",
    "Where was it?": "place",
    "How much did it cost?": "",
    "When was it?": "",
    "Why did it happen?": "",
}
_ABOUT = re.compile(rf"{_SCENE.pattern} (\w[\w ]+\?)")


def _make_answerable(rng: Random, slots: Slots) -> str:
    return f"{_scene(rng, slots)} {rng.choice(tuple(_QUESTIONS))}"


def _answerable(slots: Slots, text: str) -> str | None:
    match = _ABOUT.fullmatch(text)
    if match is None or match[6] not in _QUESTIONS:
        return None
    return "yes" if _QUESTIONS[match[6]] else "no"


_ASKED = {"What colour is it?": 3, "Who was it?": 1, "Where was it?": 5, "What was it?": 4}


def _make_ask(rng: Random, slots: Slots) -> str:
    return f"{_scene(rng, slots)} {rng.choice(tuple(_ASKED))}"


def _ask(slots: Slots, text: str) -> str | None:
    match = _ABOUT.fullmatch(text)
    return match[_ASKED[match[6]]] if match and match[6] in _ASKED else None


_CLAIM = re.compile(
    rf"({_NAME}) has an? ({_COLOUR}) ({_THING})\. Claim: ({_NAME}) has an? ({_THING})\."
)


def _make_claim(rng: Random, slots: Slots) -> str:
    name, colour, thing = (rng.choice(words.NAMES), rng.choice(words.COLOURS), rng.choice(THINGS))
    other_name, other_thing = name, thing
    if rng.random() < 0.5:
        if rng.random() < 0.5:
            other_name = rng.choice(words.NAMES)
        else:
            other_thing = rng.choice(THINGS)
    return f"{name} has {article(colour)} {thing}. Claim: {other_name} has {article(other_thing)}."


def _claim(slots: Slots, text: str) -> str | None:
    match = _CLAIM.fullmatch(text)
    if match is None:
        return None
    return "yes" if (match[1], match[3]) == (match[4], match[5]) else "no"


def _make_cause(rng: Random, slots: Slots) -> str:
    cause, effect = rng.choice(tuple(words.CAUSES.items()))
    one, two = (cause, effect) if rng.random() < 0.5 else (effect, cause)
    return f"A: {one}. B: {two}."


_AB = re.compile(r"A: ([^.]+)\. B: ([^.]+)\.")


def _which(cause: bool) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        match = _AB.fullmatch(text)
        if match is None:
            return None
        if words.CAUSES.get(match[1]) == match[2]:
            return "A" if cause else "B"
        if words.CAUSES.get(match[2]) == match[1]:
            return "B" if cause else "A"
        return None

    return answer


def _make_because(rng: Random, slots: Slots) -> str:
    cause, effect = rng.choice(tuple(words.CAUSES.items()))
    return f"{effect[0].upper()}{effect[1:]} because {cause}."


def _because_part(cause: bool) -> Callable[[Slots, str], str | None]:
    def answer(slots: Slots, text: str) -> str | None:
        effect, link, reason = text.rstrip(".").partition(" because ")
        effect = effect[:1].lower() + effect[1:]
        if not link or words.CAUSES.get(reason) != effect:
            return None
        return reason if cause else effect

    return answer


_TENSE = re.compile(rf"({_NAME}) (will )?(\w+) in the ({_PLACE})\.")


def _make_tense(rng: Random, slots: Slots) -> str:
    return rng.choice(
        (
            _does(0),
            _does(1),
            lambda r, s: (
                f"{r.choice(words.NAMES)} will {r.choice(words.PLACE_VERBS)} in the"
                f" {r.choice(words.PLACES)}."
            ),
        )
    )(rng, slots)


def _tense(slots: Slots, text: str) -> str | None:
    match = _TENSE.fullmatch(text)
    if match is None:
        return None
    if match[2]:
        return "future" if match[3] in words.VERBS else None
    if match[3] in _PAST_OF:
        return "past"
    return "present" if any(forms[0] == match[3] for forms in words.VERBS.values()) else None


def _swap_name(slots: Slots, text: str) -> str | None:
    match = _SCENE.fullmatch(text)
    return slots["name"] + text[len(match[1]) :] if match else None


SKILLS: tuple[Skill, ...] = (
    Skill(
        "extract_name",
        "Keyword Tagging",
        (
            "Write the name of the person in the {text}.",
            "Who is named in the {text}?",
            "Find the person's name in the {text}.",
            "Copy only the name from the {text}.",
            "Extract the name of the person.",
            "You are given a {text}. Return the name in it.",
            "Which person does the {text} mention?",
            "Tag the person in the {text}.",
            "Give the first name that occurs in the {text}.",
            "Pick out the person of the {text}.",
            "About whom is the {text}?",
            "Tell me who acts in the {text}.",
        ),
        {"text": TEXT},
        _scene,
        _group(_SCENE, 1),
    ),
    Skill(
        "extract_colour",
        "Keyword Tagging",
        (
            "Write the colour that the {text} mentions.",
            "Which colour is in the {text}?",
            "Find the colour word in the {text}.",
            "Copy only the colour from the {text}.",
            "Extract the colour.",
            "You are given a {text}. Return the colour in it.",
            "What colour does the {text} name?",
            "Tag the colour of the {text}.",
            "Pick out the colour in the {text}.",
            "Tell me the colour of the thing in the {text}.",
            "How is the thing in the {text} coloured?",
            "Report the colour term of the {text}.",
        ),
        {"text": TEXT},
        _scene,
        _group(_SCENE, 3),
    ),
    Skill(
        "extract_place",
        "Keyword Tagging",
        (
            "Write the place that the {text} mentions.",
            "Where does the {text} take place?",
            "Find the place in the {text}.",
            "Copy only the place from the {text}.",
            "Extract the place.",
            "You are given a {text}. Return the place in it.",
            "What place does the {text} name?",
            "Tag the location of the {text}.",
            "Pick out where it happened in the {text}.",
            "Tell me the location in the {text}.",
            "At which spot is the {text} set?",
            "Report the scene of the {text} in one word.",
        ),
        {"text": TEXT},
        _scene,
        _group(_SCENE, 5),
    ),
    Skill(
        "extract_thing",
        "Keyword Tagging",
        (
            "Write the thing that the {text} mentions.",
            "What object is in the {text}?",
            "Find the object in the {text}.",
            "Copy only the name of the object from the {text}.",
            "Extract the object.",
            "Return the thing that the {text} is about.",
            "Tag the object of the {text}.",
            "Pick out the object that has a colour in the {text}.",
            "Tell me which thing occurs in the {text}.",
            "Name the item that the {text} describes.",
        ),
        {"text": TEXT},
        _scene,
        _group(_SCENE, 4),
        held_out=True,
    ),
    Skill(
        "extract_age",
        "Keyword Tagging",
        (
            "Write the age of the person.",
            "How old is the person in the {text}?",
            "Find the number in the {text}.",
            "Copy only the age from the {text}.",
            "Extract the age.",
            "You are given a {text}. Return the number of years.",
            "Give the age that the {text} states.",
            "Tag the age in the {text}.",
            "Tell me how many years old the person is.",
            "Pick out the figure in the {text}.",
            "What age does the {text} report?",
            "State the years of the person in digits.",
        ),
        {"text": TEXT},
        _person,
        _group(_PERSON, 2),
    ),
    Skill(
        "extract_city",
        "Keyword Tagging",
        (
            "Write the city of the person.",
            "In which city does the person live?",
            "Find the city in the {text}.",
            "Copy only the city from the {text}.",
            "Extract the city.",
            "You are given a {text}. Return the city in it.",
            "Give the town that the {text} states.",
            "Tag the city in the {text}.",
            "Tell me where the person has a home.",
            "Pick out the name of the city.",
            "What city does the {text} report?",
            "State the home town in the {text}.",
        ),
        {"text": TEXT},
        _person,
        _group(_PERSON, 3),
    ),
    Skill(
        "extract_animal",
        "Keyword Tagging",
        (
            "Write the animal that the {text} mentions.",
            "Which animal is in the {text}?",
            "Find the animal in the {text}.",
            "Copy only the animal from the {text}.",
            "Extract the animal.",
            "You are given a {text}. Return the animal in it.",
            "What animal does the {text} name?",
            "Tag the animal of the {text}.",
            "Pick out the creature in the {text}.",
            "Tell me which animal acts in the {text}.",
            "Report the beast of the {text} in one word.",
            "About what creature is the {text}?",
        ),
        {"text": TEXT},
        _animal_does,
        _group(_ANIMAL_DOES, 2),
    ),
    Skill(
        "animal_title",
        "Title Generation",
        (
            "Write a title for the {text}.",
            "Give the {text} a short title.",
            "What could be the title of the {text}?",
            "Make a title from the animal and the place of the {text}.",
            "You are given a {text}. Return a title for it.",
            "Suggest a heading for the {text}.",
            "Invent a title that names the animal and the place.",
            "Put a heading above the {text}.",
            "Name the story of the {text} with a title.",
            "Tell me a fitting title.",
            "Under which title could the {text} be printed?",
            "Find a headline for the {text}.",
        ),
        {"text": TEXT},
        _animal_does,
        _format(_ANIMAL_DOES, lambda m: f"The {m[2]} in the {m[4]}"),
    ),
    Skill(
        "scene_title",
        "Title Generation",
        (
            "Write a title that names the person and the thing.",
            "Entitle the {text} after its person and object.",
            "Make a heading of the form person and object for the {text}.",
            "Give a title with the name and the thing of the {text}.",
            "Build a title from who and what in the {text}.",
            "Head the {text} with its person and its thing.",
            "Create a title out of the name and the object.",
            "Title the {text} by person and thing.",
            "Join the person and the object of the {text} to a title.",
            "The title should name who and what. Write it for the {text}.",
            "Compose a headline with the person and the object of the {text}.",
            "Let the title of the {text} be the name and the thing.",
        ),
        {"text": TEXT},
        _scene,
        _format(_SCENE, lambda m: f"{m[1]} and the {m[4]}"),
    ),
    Skill(
        "make_record",
        "Data to Text",
        (
            "Turn the {text} into a record with name, age and city.",
            "Fill a form with name, age and city from the {text}.",
            "Write the facts of the {text} as name, age and city.",
            "Make a table row of the {text}[ with name, age and city].",
            "You are given a {text}. Return the fields name, age, city.",
            "Extract name, age and city.",
            "List the fields name, age and city of the {text}.",
            "Convert the {text} to a record.",
            "Put the data of the {text} into fields.",
            "Give the {text} as structured data.",
            "Enter the person of the {text} into a data base row.",
            "Break the {text} down into its three fields.",
        ),
        {"text": TEXT},
        _person,
        _format(_PERSON, lambda m: f"name: {m[1]}; age: {m[2]}; city: {m[3]}"),
    ),
    Skill(
        "negate",
        "Grammar Error Correction",
        (
            "Make the {text} negative.",
            "Write the {text} with not.",
            "Negate the {text}.",
            "Turn the {text} into its negative form.",
            "You are given a {text}. Return its negation.",
            "Deny the {text}.",
            "Add not to the {text} at the right place.",
            "Say that the {text} is not so.",
            "Change the {text} from positive to negative.",
            "Give the negative of the {text}.",
            "State the contrary of the {text} by using not.",
            "Put a not into the {text}.",
        ),
        {"text": TEXT},
        _state,
        _format(_STATE, lambda m: f"{m[1]} is not {m[2]}."),
    ),
    Skill(
        "negate_past",
        "Grammar Error Correction",
        (
            "Negate what the animal did.",
            "Write that the animal did not do it.",
            "Use did not to deny the {text}.",
            "Say that it did not happen, with did not.",
            "Rewrite the {text} with did not.",
            "Turn the past {text} into a negative with did not.",
            "Put did not before the verb[ and use its base form].",
            "Make the past event negative.",
            "Deny the past event of the {text}.",
            "State with did not that the animal stayed away from it.",
        ),
        {"text": TEXT},
        _animal_does,
        _format(_ANIMAL_DOES, _past_animal),
        held_out=True,
    ),
    Skill(
        "yes_no_question",
        "Question Rewriting",
        (
            "Turn the {text} into a yes or no question.",
            "Ask whether the {text} is true.",
            "Write the {text} as a question.",
            "Make a question of the {text} that starts with Is.",
            "You are given a {text}. Return it as a question.",
            "Rewrite the {text} so that it asks.",
            "Change the {text} to a question[ with Is at the start].",
            "Form a question from the {text}.",
            "Put the {text} as a question.",
            "Ask about the {text} with Is.",
            "Reword the {text} as something you would ask.",
            "What yes or no question does the {text} answer?",
        ),
        {"text": TEXT},
        _state,
        _format(_STATE, lambda m: f"Is {m[1]} {m[2]}?"),
    ),
    Skill(
        "where_question",
        "Question Rewriting",
        (
            "Ask for the city in the {text}.",
            "Write a question with Where for the {text}.",
            "Turn the {text} into a question that begins with Where.",
            "Make a where question from the {text}.",
            "Which question with Where does the {text} answer?",
            "You are given a {text}. Ask where the person lives.",
            "Form a question about the home in the {text}.",
            "Rewrite the {text} as a question for the place of living.",
            "Ask where.",
            "Give the where question for the {text}.",
            "Pose a question about the city of the person.",
            "The {text} is an answer. Write the question with Where.",
        ),
        {"text": TEXT},
        _lives,
        _format(_LIVES, lambda m: f"Where does {m[1]} live?"),
    ),
    Skill(
        "what_question",
        "Question Rewriting",
        (
            "Ask what the person likes.",
            "Write a question with What for the {text}.",
            "Turn the {text} into a question that begins with What.",
            "Make a what question from the {text}.",
            "Which question with What does the {text} answer?",
            "You are given a {text}. Ask for the thing that is liked.",
            "Form a question about the taste of the person.",
            "Rewrite the {text} as a question for the liked thing.",
            "Ask what.",
            "Give the what question for the {text}.",
            "Pose a question about what the person is fond of.",
            "The {text} is an answer. Write the question with What.",
        ),
        {"text": TEXT},
        _likes,
        _format(_LIKES, lambda m: f"What does {m[1]} like?"),
    ),
    Skill(
        "who_question",
        "Question Rewriting",
        (
            "Ask who did it.",
            "Write a question with Who for the {text}.",
            "Turn the {text} into a question that begins with Who.",
            "Make a who question from the {text}.",
            "Which question with Who does the {text} answer?",
            "You are given a {text}. Ask for the person.",
            "Form a question about the person of the {text}.",
            "Rewrite the {text} as a question for the name.",
            "Ask who.",
            "Give the who question for the {text}.",
            "Pose a question whose answer is the name.",
            "The {text} is an answer. Write the question with Who.",
        ),
        {"text": TEXT},
        _does(1),
        _format(_DOES, _who_did),
    ),
    Skill(
        "where_did_question",
        "Question Rewriting",
        (
            "Ask where the person did it.",
            "Write a question with Where did for the {text}.",
            "Turn the {text} into a question that begins with Where did.",
            "Make a where did question from the {text}.",
            "Which question with Where did does the {text} answer?",
            "Ask for the place of what was done.",
            "Form a question about the location of the past event.",
            "Rewrite the past {text} as a question for the place.",
            "Give the where did question for the {text}.",
            "Pose a question on where it was done.",
        ),
        {"text": TEXT},
        _does(1),
        _format(_DOES, _where_did),
        held_out=True,
    ),
    Skill(
        "to_past",
        "Grammar Error Correction",
        (
            "Write the {text} in the past tense.",
            "Put the {text} in the past.",
            "Change the {text} so that it happened yesterday.",
            "Turn the present {text} into the past.",
            "You are given a {text}. Return it in the past tense.",
            "Rewrite the {text} as something that is over.",
            "Tell the {text} as a past event.",
            "Move the {text} from now to the past.",
            "Use the past form of the verb in the {text}.",
            "Make the {text} past.",
            "Report the {text} as if it were history.",
            "How would you say the {text} about last week?",
        ),
        {"text": TEXT},
        _does(0),
        _format(_DOES, _third_to_past),
    ),
    Skill(
        "to_future",
        "Grammar Error Correction",
        (
            "Write the {text} in the future tense.",
            "Put the {text} in the future with will.",
            "Change the {text} so that it will happen tomorrow.",
            "Turn the present {text} into the future.",
            "You are given a {text}. Return it in the future tense.",
            "Rewrite the {text} with will.",
            "Tell the {text} as a plan.",
            "Move the {text} from now to the future.",
            "Use will in the {text}.",
            "Make the {text} future.",
            "Report the {text} as something yet to come.",
            "How would you say the {text} about next week?",
        ),
        {"text": TEXT},
        _does(0),
        _format(_DOES, _will),
    ),
    Skill(
        "fix_agreement",
        "Grammar Error Correction",
        (
            "Correct the verb in the {text}.",
            "Fix the grammar of the {text}.",
            "The verb of the {text} lacks an ending. Correct it.",
            "Write the {text} without the mistake in the verb.",
            "You are given a {text} with an error. Return it corrected.",
            "Repair the verb form of the {text}.",
            "Find and mend the verb mistake.",
            "Rewrite the {text} in good grammar.",
            "Make the verb fit the person.",
            "Improve the wrong verb form.",
            "The {text} has a verb error. Give the right form of the whole.",
            "Edit the {text} so that verb and person agree.",
        ),
        {"text": TEXT},
        _does(-1),
        _format(_DOES, _fix_agreement),
    ),
    Skill(
        "fix_article",
        "Grammar Error Correction",
        (
            "Correct the article in the {text}.",
            "Choose the right one of a and an in the {text}.",
            "Fix the wrong a or an.",
            "Write the {text} with the right article.",
            "You are given a {text}. Repair its article.",
            "The article of the {text} is wrong. Mend it.",
            "Replace the wrong article.",
            "Proofread the {text} for a and an.",
            "Edit the article so that it fits the noun.",
            "Check a and an, and write the {text} again.",
            "Should it be a or an? Rewrite the {text}.",
            "Put the proper article before the noun.",
        ),
        {"text": TEXT},
        _make_article,
        _fix_article,
    ),
    Skill(
        "add_full_stop",
        "Grammar Error Correction",
        (
            "Add a full stop to the end.",
            "Write the {text} with a full stop.",
            "Finish the {text} with a period.",
            "The {text} has no end mark. Put a period there.",
            "You are given a {text}. Add the missing full stop.",
            "Complete the punctuation of the {text}.",
            "Put the missing point at the end.",
            "Close the {text} with a point.",
            "Correct the missing period.",
            "Copy the {text} and end it with a period.",
            "Supply the final mark of the {text}.",
            "Mend the punctuation: a point is missing.",
        ),
        {"text": TEXT},
        _make_bare,
        _add_stop,
        checker=lambda s, t, o: o.strip() == t + ".",
    ),
    Skill(
        "use_pronoun",
        "Coreference Resolution",
        (
            "Replace the name in the {text} with he or she.",
            "Write the {text} with a pronoun instead of the name.",
            "Use he or she in place of the name.",
            "Begin the {text} with a pronoun.",
            "You are given a {text}. Put a pronoun for the name.",
            "Say the {text} without the name, with she or he.",
            "Turn the name of the {text} into a pronoun.",
            "Hide the name of the {text} behind he or she.",
            "Change the subject of the {text} to a pronoun.",
            "Rewrite the {text} and call the person he or she.",
            "Let a pronoun stand for the person of the {text}.",
            "Drop the name and use the fitting pronoun.",
        ),
        {"text": TEXT},
        _likes,
        lambda s, t: _pronoun(m[1]) + t[len(m[1]) :] if (m := _LIKES.fullmatch(t)) else None,
    ),
    Skill(
        "who_is_pronoun",
        "Coreference Resolution",
        (
            "Whom does the pronoun mean?",
            "Which person is meant by he or she?",
            "Write the name that the pronoun stands for.",
            "Find the person to whom the pronoun refers.",
            "You are given two sentences. Return the name behind the pronoun.",
            "Resolve the pronoun.",
            "Who is he or she in the second sentence?",
            "Name the person in the second sentence.",
            "Tell me who is meant in the end.",
            "Replace he or she by a name. Which one?",
            "Say which of the two people the second sentence is about.",
            "Link the pronoun to a person.",
        ),
        {},
        _two_people,
        _who_pronoun,
    ),
    Skill(
        "he_or_she",
        "Coreference Resolution",
        (
            "Choose the pronoun for the person: he or she?",
            "Is the person in the {text} he or she?",
            "Which pronoun fits the name, he or she?",
            "Write he or she for the person of the {text}.",
            "You are given a {text}. Say he or she.",
            "Give the pronoun for the name in the {text}.",
            "Would you say he or she?",
            "Pick he or she for the {text}.",
            "Tell me the pronoun of the person.",
            "Label the person with he or she.",
            "Name the fitting pronoun, he or she.",
            "If you speak of this person again, do you say he or she?",
        ),
        {"text": TEXT},
        _state,
        _format(_STATE, lambda m: _pronoun(m[1]).lower()),
        is_classification=True,
        labels=("he", "she"),
    ),
    Skill(
        "sentiment",
        "Dialogue Act Recognition",
        (
            "Is the {text} good or bad? Write positive or negative.",
            "Label the opinion as positive or negative.",
            "Positive or negative?",
            "Say whether the speaker is pleased: positive or negative.",
            "You are given a {text}. Tell if it is positive or negative.",
            "Classify the {text}: positive or negative.",
            "Choose positive or negative for the {text}.",
            "Decide between positive and negative.",
            "Judge the mood of the {text}, positive or negative.",
            "Did the writer like it? Write positive or negative.",
            "What is the tone of the {text}, positive or negative?",
            "Mark the review with positive or negative.",
        ),
        {"text": TEXT},
        _make_opinion,
        _format(_OPINION, lambda m: "positive" if m[2] in words.GOOD else "negative"),
        is_classification=True,
        labels=("positive", "negative"),
    ),
    Skill(
        "dialogue_act",
        "Dialogue Act Recognition",
        (
            "Is this a question, a request, a statement, a thanks or a greeting?",
            "Name the dialogue act[: question, request, statement, thanks or greeting].",
            "Label the {text} as question, request, statement, thanks or greeting.",
            "What does the speaker do: ask, request, state, thank or greet?",
            "You are given an utterance. Return its dialogue act.",
            "Classify the utterance by its dialogue act.",
            "Tag the turn with question, request, statement, thanks or greeting.",
            "Which act does the speaker perform?",
            "Say what kind of utterance it is.",
            "Decide on the act: question, request, statement, thanks or greeting.",
            "What is the purpose of the utterance?",
            "Choose the act that the speaker carries out.",
        ),
        {"text": TEXT},
        _make_act,
        _act,
        is_classification=True,
        labels=tuple(_ACTS),
    ),
    Skill(
        "is_question",
        "Dialogue Act Recognition",
        (
            "Is the utterance a question? Answer yes or no.",
            "Does the speaker ask something? Reply yes or no.",
            "Say yes if it is a question, otherwise no.",
            "Check whether the {text} asks for something to be told, yes or no.",
            "You are given an utterance. Is it a question?",
            "Decide if the speaker wants an answer.",
            "Tell me whether a question mark belongs here, yes or no.",
            "Does the turn need a reply as a question does? Yes or no.",
            "Question or not? Write yes or no.",
            "Answer yes for a question and no for all else.",
            "Would you put this under questions, yes or no?",
            "Is anything asked here?",
        ),
        {"text": TEXT},
        _make_act,
        lambda s, t: None if _act(s, t) is None else "yes" if t.endswith("?") else "no",
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "polite_or_rude",
        "Dialogue Act Recognition",
        (
            "Is the request polite or rude?",
            "Label the request as polite or rude.",
            "Polite or rude?",
            "Say whether the speaker is polite or rude.",
            "You are given a request. Tell if it is polite or rude.",
            "Classify the tone: polite or rude.",
            "Choose polite or rude for the request.",
            "Decide between polite and rude.",
            "Judge the manners of the speaker, polite or rude.",
            "Mark the request with polite or rude.",
            "How does the speaker sound, rude or polite?",
            "Are the manners good or not? Write polite or rude.",
        ),
        {},
        lambda rng, s: rng.choice(rng.choice((_POLITE, _RUDE))).format(t=rng.choice(THINGS)),
        _polite,
        is_classification=True,
        labels=("polite", "rude"),
    ),
    Skill(
        "answerable",
        "Answerability Classification",
        (
            "Can the question be answered from the text? Answer yes or no.",
            "Does the text tell enough to answer the question? Reply yes or no.",
            "Say yes if the text answers the question, otherwise no.",
            "Is the answer in the text, yes or no?",
            "You are given a text and a question. Is the question answerable?",
            "Decide whether the question has an answer in the text.",
            "Check if the text gives the answer, yes or no.",
            "Tell me whether one can answer from the text alone.",
            "Is there enough information for the question?",
            "Judge if the question can be answered.",
            "Would a reader of the text know the answer? Yes or no.",
            "Does the sentence hold what is asked for, yes or no?",
        ),
        {},
        _make_answerable,
        _answerable,
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "answer_question",
        "Answerability Classification",
        (
            "Answer the question about the text.",
            "Read the text and answer the question at its end.",
            "What is the answer to the question?",
            "Use the text to answer in one word.",
            "You are given a text and a question. Return the answer.",
            "Find the answer in the text.",
            "Give the word of the text that answers the question.",
            "Reply to the question with a word from the text.",
            "Tell me the answer in one word.",
            "Look in the text for what is asked.",
            "Which word of the text is asked for?",
            "Solve the reading question.",
        ),
        {},
        _make_ask,
        _ask,
    ),
    Skill(
        "claim_follows",
        "Textual Entailment",
        (
            "Does the claim follow from the first sentence? Answer yes or no.",
            "Is the claim true if the first sentence is true? Reply yes or no.",
            "Say yes if the text supports the claim, otherwise no.",
            "Check the claim against the text, yes or no.",
            "You are given a text and a claim. Does the text entail the claim?",
            "Decide whether the claim is backed by the text.",
            "Can we conclude the claim? Yes or no.",
            "Tell me if the claim must be true.",
            "Judge whether the claim follows.",
            "Is the claim supported, yes or no?",
            "Would a reader of the text accept the claim? Yes or no.",
            "Test the claim and answer yes or no.",
        ),
        {},
        _make_claim,
        _claim,
        is_classification=True,
        labels=("yes", "no"),
    ),
    Skill(
        "which_is_cause",
        "Cause Effect Classification",
        (
            "Which event is the cause, A or B?",
            "Write the letter of the cause.",
            "A or B: what happened first and led to the other?",
            "Find the cause among A and B.",
            "You are given two events. Return the letter of the cause.",
            "Does A cause B or B cause A? Write the letter of the cause.",
            "Tell me which one is the reason, A or B.",
            "Choose the event that brought about the other.",
            "Label the cause with its letter.",
            "Which of A and B explains the other?",
            "Name the letter of the event that made the other happen.",
            "Is the source of it all A or B?",
        ),
        {},
        _make_cause,
        _which(True),
        is_classification=True,
        labels=("A", "B"),
    ),
    Skill(
        "find_cause",
        "Cause Effect Classification",
        (
            "Write the cause that the {text} gives.",
            "Why did it happen? Copy the reason.",
            "Extract the cause from the {text}.",
            "Copy the part after because.",
            "You are given a {text}. Return the reason in it.",
            "What was the cause?",
            "Find the reason in the {text}.",
            "Give only the cause and not the effect.",
            "Tell me why.",
            "Name the reason that the {text} states.",
            "Which part of the {text} explains the other? Write it.",
            "What led to it, by the {text}?",
        ),
        {"text": TEXT},
        _make_because,
        _because_part(True),
    ),
    Skill(
        "find_effect",
        "Cause Effect Classification",
        (
            "Write the effect that the {text} gives.",
            "What happened as a result? Copy it.",
            "Extract the effect from the {text}.",
            "Copy the part before because.",
            "Return the result in the {text}.",
            "What was the effect?",
            "Find the outcome in the {text}.",
            "Give only the effect and not the cause.",
            "Name the result that the {text} states.",
            "Which part of the {text} came from the other? Write it.",
        ),
        {"text": TEXT},
        _make_because,
        _because_part(False),
        held_out=True,
    ),
    Skill(
        "tense_of",
        "Keyword Tagging",
        (
            "Is the {text} about the past, the present or the future?",
            "Label the tense of the {text}[: past, present or future].",
            "Past, present or future?",
            "In which tense is the {text}?",
            "You are given a {text}. Return its tense.",
            "Classify the {text} as past, present or future.",
            "Choose past, present or future for the {text}.",
            "Name the tense of the verb in the {text}.",
            "When does it happen: past, present or future?",
            "Mark the {text} with past, present or future.",
            "What time does the verb show, past, present or future?",
            "Tell whether it is over, going on or to come: past, present or future.",
        ),
        {"text": TEXT},
        _make_tense,
        _tense,
        is_classification=True,
        labels=("past", "present", "future"),
    ),
    Skill(
        "change_name",
        "Coreference Resolution",
        (
            "Change the person in the {text} to {name}.",
            "Write the {text} about {name}.",
            "Replace the name in the {text} by {name}.",
            "Put {name} in place of the person.",
            "You are given a {text}. Make {name} the person in it.",
            "Tell the {text} again with {name}.",
            "Let {name} be the one in the {text}.",
            "Use the name {name} in the {text}.",
            "Rewrite the {text} so that {name} did it.",
            "Swap the person for {name}.",
            "What would the {text} be if it were about {name}?",
            "Give the part of the person to {name}.",
        ),
        {"text": TEXT, "name": words.NAMES},
        _scene,
        _swap_name,
    ),
)
