"""Splits a list as models write it into items: the usual marks, without the text around the list.

``9.``, ``10)``, ``(11)``, ``**12.**``, ``13.Name``, ``Task 14:``, ``- ``: a mark counts at the
beginning of a line. A completion that goes on with a list begins inside an item, as base models do
behind the prompt's last number. What could be read in two ways is ``ambiguous``, not an item.
"""

import re
from collections.abc import Iterator
from typing import Literal

from refine_af.self_instruct.fences import without_fence

Reason = Literal["chatter", "ambiguous"]
Item = tuple[str, Reason | None, str]
"""Text, why it is not an instruction (None: it is one), and a detail for people."""

_NUMBER = re.compile(
    r"""\n([ \t]*)(?:\#{1,4}[ ]|>[ ]?)?[*_(\[]{0,3}     # heading or quotation, emphasis, brackets
    (?:(?P<word>[Tt]ask|[Ii]nstruction|TASK|INSTRUCTION)\s)?\#?
    (?P<number>\d{1,3})(?:\s?[.)\]\uff0e\u3001\uff09](?!\d)  # 9. 9 . 9) but not 9.5
    |\s?[:\uff1a](?=[\s*_])                                # 9:
    |\s[-\u2013\u2014]\s(?=[*_]*[^\W\d])                   # 9 - but not 9 - 4
    |\ufe0f?\u20e3                                         # as a key
    |(?(word)(?=[*_]{0,3}\n)|(?!)))                        # Task 9, alone in its line
    [*_)\]]{0,3}:?[ \t]*""",
    re.VERBOSE,
)
_BULLET = re.compile(
    r"\n([ \t]*)(?:[-*+\u2022\u2023\u2013\u2014\u25aa\u25cf\u25e6][ \t]+(?:\[[ xX]?\][ \t]+)?"
    r"|[\u2460-\u2473\u2776-\u277f][ \t]*)"
)
"""A bullet, also with a box to tick, or a number in a circle."""

_LETTER = re.compile(r"\n([ \t]*)[*_(\[]{0,3}([a-z]|[ivx]{2,4})[.)\]](?=\s)[*_]{0,3}[ \t]*", re.I)
_LETTERS = ("abcdefghijklmnopqrst", ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"))
_CHATTER = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok|alright|great|yes|no problem|happy to"
    r"|got it|understood|perfect|my pleasure|glad to"
    r"|here (?:are|is)|here's|here\u2019s|below (?:are|is|you)|the following|these are"
    r"|i (?:can|have|will|would|am|hope)|i'(?:ll|d|ve|m)|as an ai)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"(?:let me know|i hope|hope (?:this|these|that)|feel free|would you like|do you want"
    r"|these (?:tasks|instructions|items)|please (?:let me know|note)|note:|note that"
    r"|if you (?:need|want|would|have)|these should|good luck|enjoy)\b",
    re.IGNORECASE,
)
_FAREWELL = re.compile(
    r"(?:let me know|feel free to (?:ask|let|reach)|i hope (?:this|these|that)"
    r"|would you like (?:me|more|another|to see)|good luck)\b",
    re.IGNORECASE,
)
"""Words to the reader that an instruction does not end with, even without a blank line before."""
_REFUSAL = re.compile(
    r"(?=.*\b(?:can['\u2019]?t|cannot|can not|unable|not able|won['\u2019]?t)\b)"
    r"(?:i['\u2019]m|i am|sorry|unfortunately|i apologi[sz]e|as an ai|i can)",
    re.IGNORECASE,
)
_RULE = re.compile(r"\s*(?:[-*_=]{3,}|`{3,}|~{3,})\s*")
_LABEL = re.compile(r"\n[ \t*_]*(input|output|answer|example)[ \t]*\d*[ \t*_]*:", re.I)
_NAMED = re.compile(r"\s*(?:task|instruction)(?:\s?\d+)?\s?:\s*", re.IGNORECASE)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")


_NESTED = "a list inside an item"


_Mark = tuple[int, int, int, int | None]
"""Where a mark begins, where what it marks begins, its indent, its number (None: a bullet)."""

_Start = tuple[int, int, bool]
"""Where an item's mark and its text begin, and whether it holds a list of its own."""


def is_chatter(text: str) -> bool:
    """Return whether a text is talk before what was asked for: one line, such as ``Sure!``."""
    line = text.strip()
    return "\n" not in line and bool(line.endswith(":") or _CHATTER.match(line.lstrip('*_#" ')))


def list_items(completion: str) -> list[Item]:
    """Return the items of a completion in order, at least one."""
    completion = without_fence(completion)
    marks = _marks(completion)
    opening = _opening(completion[: marks[0][0]] if marks else completion, bool(marks))
    goes_on = bool(opening) and opening[-1][1] is None
    nested, starts = _starts(marks, goes_on)
    if nested:  # a list inside the item that the completion goes on with
        end = starts[0][0] if starts else len(completion)
        opening[-1] = (completion[:end], "ambiguous", _NESTED)
    items = [*opening, *_marked(completion, starts)]
    if items and items[-1][1] is None:
        items[-1:] = _without_remark(items[-1][0])
    return [_tidied(item) for item in items] or [("", None, "")]


def _marks(completion: str) -> list[_Mark]:
    """Return the numbers at the beginnings of lines, else the bullets.

    One bullet alone that something stands before is a part of that.
    """
    # a literal in front of the pattern is found far sooner than the beginning of a line
    text = "\n" + completion
    numbers = [_mark(match, int(match["number"])) for match in _NUMBER.finditer(text)]
    if numbers:
        return numbers
    bullets = [_mark(match, None) for match in _BULLET.finditer(text)]
    if not bullets:
        return _letters(text)
    alone = len(bullets) == 1 and completion[: bullets[0][0]].strip() != ""
    return [] if alone else bullets


def _letters(text: str) -> list[_Mark]:
    """Return letters at the beginnings of lines: at least two, from the first, all in order.

    Behind an instruction they are the answers that it offers.
    """
    found = list(_LETTER.finditer(text))
    before = text[: found[0].start()].strip() if found else ""
    names = [match[2].lower() for match in found]
    ordered = any(names == list(letters[: len(names)]) for letters in _LETTERS)
    if len(found) < 2 or not ordered or (before and not _CHATTER.match(before.lstrip('*_#" '))):
        return []
    return [_mark(match, None) for match in found]


def _mark(match: re.Match[str], number: int | None) -> _Mark:
    begin, end = match.span()
    return begin, end - 1, len(match[1]), number


def _opening(text: str, listed: bool) -> list[Item]:
    """Return what stands before the first mark: the rest of an item, chatter, or both."""
    if not text.strip():
        return []
    if not listed and _REFUSAL.match(text.strip()) and "\n" not in text.strip():
        return [(text, "chatter", "a refusal")]
    if not _CHATTER.match(text.lstrip(' \t\n*_#"')):
        return [(text, None, "")]
    first, _, rest = text.strip().partition("\n")
    if listed and (not rest.strip() or text.rstrip().endswith((":", "!", "."))):
        return [(text, "chatter", "before the list")]
    if first.rstrip().endswith(":") and rest.strip():
        item: Item = (rest, None, "")
        if "\n" in rest.strip():
            item = (rest, "ambiguous", "several lines without a mark")
        return [(first, "chatter", "before the list"), item]
    return [(text, None, "")]


def _starts(marks: list[_Mark], goes_on: bool) -> tuple[bool, list[_Start]]:
    """Return whether the text before the first item holds a list, and where the items begin.

    A number below the one before begins a list inside an item: with an indent it
    belongs to the item, without one nobody can tell.
    """
    if not marks:
        return False, []
    last = 2 if goes_on else -1
    if _ascend(marks, last):
        return False, [(begin, text, False) for begin, text, _, _ in marks]
    widest = min(indent for _, _, indent, _ in marks) + 1
    inner = -2  # the last number of a list inside an item
    nested, starts = False, list[_Start]()
    for begin, text, indent, given in marks:
        if indent > widest:
            continue
        number = last + 2 if given is None else given
        if number >= last and (number != inner + 1 or (bool(starts) and number == last + 1)):
            starts.append((begin, text, False))
            last, inner = number, -2
            continue
        inner = number
        if starts:
            starts[-1] = (*starts[-1][:2], True)
        else:
            nested = True
    return nested, starts


def _ascend(marks: list[_Mark], last: int) -> bool:
    """Return whether the marks are numbers above ``last`` that ascend, without an indent."""
    for _, _, indent, number in marks:
        if indent or number is None or number <= last:
            return False
        last = number
    return True


def _marked(completion: str, starts: list[_Start]) -> Iterator[Item]:
    """Yield the text behind each mark."""
    ends = [start[0] for start in starts[1:]] + [len(completion)]
    for (_, begin, ambiguous), end in zip(starts, ends, strict=False):
        text = completion[begin:end]
        yield (text, "ambiguous", _NESTED) if ambiguous else (text, None, "")


def _without_remark(text: str) -> list[Item]:
    """Return the last item without what is said behind the list."""
    head, line, tail = text.rstrip().rpartition("\n")
    if line and head.strip() and _RULE.fullmatch(tail):
        return _without_remark(head)
    for blank, remark in (("\n", _FAREWELL), ("\n\n", _REMARK)):
        head, found, tail = text.rstrip().rpartition(blank)
        if found and head.strip() and remark.match(tail.lstrip(" *_(")):
            return [*_without_remark(head), (tail, "chatter", "behind the list")]
    return [(text, None, "")]


def _tidied(item: Item) -> Item:
    """Return the item without emphasis and without a name of its own; labels make it ambiguous."""
    text, reason, _ = item
    if reason is not None:
        return item
    if ":" not in text and "*" not in text and "_" not in text:
        return item
    label = _LABEL.search("\n" + text)
    if label is not None:
        return text, "ambiguous", f"{label[1]}: inside an item"
    if (named := _NAMED.match(text)) is not None:
        text = text[named.end() :]
    if "**" in text or "__" in text:
        text = _BOLD.sub(r"\2", text)
        text = text.rstrip().removesuffix("**")  # its beginning stood before the mark
    return text, None, ""
