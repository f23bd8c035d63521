"""Porter's stemmer with the deviations that NLTK makes, because ``rouge_score`` stems with it.

Our own and not NLTK's: a runtime dependency of 14 MB and five packages for one function of it,
and its stemmer spends most of an evaluation's time. Equality with NLTK 3.10 is tested over
dictionary words and random strings.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, steps 1a to 5b;
m, *v*, *d and *o are the paper's signs. Where this differs from the paper, as NLTK's default mode:
(1) a table of irregular words; (2) words of one or two letters stay; (3) four-letter words in
"ies" and "ied" keep their "ie", longer ones in "ied" lose "ed"; (4) "y" becomes "i" only behind a
consonant that is not the whole stem; (5) step 2 turns "alli" into "al" and runs again, knows
"bli" in place of "abli", and "fulli" and "logi" in addition; (6) *o also holds for
vowel-consonant stems of two letters.
"""

Rules = tuple[tuple[str, str], ...]

IRREGULAR = {
    "sky": "sky",
    "skies": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "news": "news",
    "innings": "inning",
    "inning": "inning",
    "outings": "outing",
    "outing": "outing",
    "cannings": "canning",
    "canning": "canning",
    "howe": "howe",
    "proceed": "proceed",
    "exceed": "exceed",
    "succeed": "succeed",
}

STEP_2 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
)
STEP_3 = (
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
)
STEP_4 = (
    *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"),
    *("ou", "ism", "ate", "iti", "ous", "ive", "ize"),
)

_SIGNS = bytes(code if code == ord("y") else b"cv"[code in b"aeiou"] for code in range(256))
"""Per character its sign: consonant or vowel; "y" stays, the letter before it decides."""


def _by_end(rules: Rules) -> dict[str, Rules]:
    """Return the rules under the last two letters of their suffix, in their order.

    Most words have none of these ends: one look-up spares them the walk through the rules.
    """
    by_end: dict[str, Rules] = {}
    for suffix, replacement in rules:
        by_end[suffix[-2:]] = (*by_end.get(suffix[-2:], ()), (suffix, replacement))
    return by_end


RULES_2 = _by_end((*STEP_2, ("logi", "log")))
RULES_3 = _by_end(STEP_3)
RULES_4 = _by_end(tuple((suffix, "") for suffix in STEP_4))

ENDS = frozenset((*RULES_2, *RULES_3, *RULES_4, "ed", "ng", "ll")).union(
    chr(letter) + end for letter in range(128) for end in "sye"
)
"""The last two letters of all words that any step may change: a third of a text's have others."""


def stem(word: str) -> str:
    """Return the stem of a lower-case word of ASCII letters and digits; digits are consonants."""
    if word[-2:] not in ENDS or len(word) <= 2:
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    # No step takes a word to nothing. The last letters tell which steps can apply: most words
    # meet one or two of the eight.
    if word[-1] == "s":
        word = _step_1a(word)
    if word[-1] in "dg":
        word = _step_1b(word)
    if word[-1] == "y":
        word = _step_1c(word)
    if rules := RULES_2.get(word[-2:]):
        word = _step_2(word, rules)
    if rules := RULES_3.get(word[-2:]):
        word = _step_3(word, rules)
    if rules := RULES_4.get(word[-2:]):
        word = _step_4(word, rules)
    return _step_5(word) if word[-1] in "el" else word


def _pattern(word: str) -> str:
    """Return one letter per letter of the word: "c" for a consonant, "v" for a vowel."""
    signs = word.encode().translate(_SIGNS).decode()
    if "y" not in signs:
        return signs
    # A "y" is a vowel behind a consonant and a consonant elsewhere, its neighbour "y" included.
    pattern = ""
    for sign in signs:
        pattern += ("v" if pattern.endswith("c") else "c") if sign == "y" else sign
    return pattern


def _m(word: str) -> int:
    return _pattern(word).count("vc")


def _star_o(word: str, signs: str) -> bool:
    if len(word) == 2:
        return signs == "vc"
    return signs.endswith("cvc") and word[-1] not in "wxy"


def _step_1a(word: str) -> str:
    if word.endswith("ss"):
        return word
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-1] if len(word) == 4 else word[:-2]
    return word[:-1]


def _step_1b(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _m(word[:-3]) > 0 else word
    if word.endswith("ed"):
        rest = word[:-2]
    elif word.endswith("ing"):
        rest = word[:-3]
    else:
        return word
    signs = _pattern(rest)
    return _repair(rest, signs) if "v" in signs else word


def _repair(rest: str, signs: str) -> str:
    """Put back the "e" or take the double letter that "-ed" and "-ing" left behind."""
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if rest[-1] == rest[-2:-1] and signs[-1] == "c":  # ends with a double consonant
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if signs.count("vc") == 1 and _star_o(rest, signs) else rest


def _step_1c(word: str) -> str:
    rest = word[:-1]
    return rest + "i" if len(rest) > 1 and _pattern(rest)[-1] == "c" else word


def _step_2(word: str, rules: Rules) -> str:
    if word.endswith("alli") and _m(word[:-4]) > 0:
        again = RULES_2.get(word[-4:-2])
        return _step_2(word[:-2], again) if again else word[:-2]
    if word.endswith("logi"):
        # The "l" counts with the stem, so that "geologi" is shortened as "archaeologi" is.
        return word[:-1] if _m(word[:-3]) > 0 else word
    return _step_3(word, rules)


def _step_3(word: str, rules: Rules) -> str:
    """Apply the first rule whose suffix fits; when its condition fails, no other one is tried."""
    for suffix, replacement in rules:
        if word.endswith(suffix):
            rest = word.removesuffix(suffix)
            return rest + replacement if _m(rest) > 0 else word
    return word


def _step_4(word: str, rules: Rules) -> str:
    for suffix, _ in rules:
        if word.endswith(suffix):
            rest = word.removesuffix(suffix)
            fits = _m(rest) > 1 and (suffix != "ion" or rest[-1] in "st")
            return rest if fits else word
    return word


def _step_5(word: str) -> str:
    if word[-1] == "e":
        rest = word[:-1]
        signs = _pattern(rest)
        measure = signs.count("vc")
        if measure > 1 or (measure == 1 and not _star_o(rest, signs)):
            word = rest
    if word.endswith("ll") and _m(word[:-1]) > 1:
        word = word[:-1]
    return word
