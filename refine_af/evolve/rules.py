"""Rules that drop rewrites and answers before they are reviewed.

Source: WizardLM (arXiv 2304.12244), section 3.2: no gain over the parent (the reviewer decides
that), a short answer with "sorry", an answer of nothing but punctuation and stop words, words of
the prompt copied. Ours: length, language, an answer instead of an instruction, and what an engine
may do (fail, return nothing, be cut off).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from refine_af.contracts.readable import is_readable
from refine_af.dedup.rouge_l import rouge_l
from refine_af.engines.text import Completion
from refine_af.evolve.params import EvolutionParams

REASONS = {
    "engine_error": "The engine failed on the request.",
    "empty": "Nothing was written.",
    "truncated": "The text was cut off at the token limit.",
    "unreadable": "Characters that a row cannot hold.",
    "refusal": "The model declined instead of doing as asked.",
    "template_words": "Words of the prompt were copied.",
    "only_stop_words": "Nothing but punctuation and stop words.",
    "too_short": "Fewer words than allowed.",
    "too_long": "More words than allowed.",
    "unchanged": "The text repeats the instruction or an ancestor word for word.",
    "answered": "An answer or an input stands where an instruction should.",
    "language": "Most letters belong to another script than the instruction's.",
    "equal": "The reviewer found no difference to the parent.",
    "judge_unreadable": "The reviewer's answer was none of its choices.",
}

REFUSAL_WORDS = 80
ANSWER_SIMILARITY = 0.7
_REFUSALS = re.compile(
    r"\b(sorry|i cannot|i can't|i can not|i am unable|i'm unable|as an ai|i won't)\b", re.IGNORECASE
)
_LABEL = re.compile(
    r"\A\s*[*#>\s]*(?:(?:new|updated|revised)\s+)?(?:instruction|rewrite|rewritten|task)s?"
    r"(?:\s+instruction)?[ \t*]*(?::[ \t*]*|\n+)",
    re.IGNORECASE,
)
"""A label that a model says back before the text, as ``### Instruction`` or ``**Rewritten:**``."""
_PREAMBLE = re.compile(
    r"\A\s*(?:(?:sure|certainly|of course|okay|ok)\b[^\n:]*|here(?:'s| is| are)\b[^\n:]*)"
    r"(?::[ \t]*\n+|[!.][ \t]*\n\s*\n)",
    re.IGNORECASE,
)
"""A line that announces the text, as ``Here is the rewritten instruction:``."""
_ANSWERED = re.compile(r"^\s*(answer|output|response|input|solution|result)\s*:", re.IGNORECASE)
_WORD = re.compile(r"\w+")
STOP_WORDS = frozenset(
    _WORD.findall(
        "a an the of in on at to for from by with and or is are was were be been it its this that"
        " these those i you he she we they me my your his her our their as if then so not no yes"
        " do does did have has had will would can could should may might must what which who how"
    )
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken rule: one of :data:`REASONS`, and what a person needs to understand it."""

    reason: str
    detail: str = ""


def broken_rule(
    answer: Completion,
    line: Sequence[str],
    outputs: Iterable[str],
    forbidden: Sequence[str],
    params: EvolutionParams,
) -> Broken | None:
    """Return the first rule that a rewrite breaks, or None.

    Args:
        answer: What the rewriter wrote.
        line: Its root, and every instruction on the way to its parent, which is last.
        outputs: Known answers to the root, and the input: a rewrite similar to one of them is no
            instruction.
        forbidden: Words of the prompts, lower case.
        params: Fewest and most words.
    """
    unusable = _unusable(answer)
    if unusable is not None:
        return unusable
    text = answer.text.strip()
    words = len(text.split())
    if _REFUSALS.search(text) and words < REFUSAL_WORDS and not _REFUSALS.search(line[-1]):
        return Broken("refusal")
    lowered = text.casefold()
    copied = next((word for word in forbidden if word in lowered), "")
    if copied:
        return Broken("template_words", f"holds {copied!r}")
    if not says_something(text):
        return Broken("only_stop_words")
    if words < params.min_words:
        return Broken("too_short", f"{words} words, at least {params.min_words}")
    if words > params.max_words:
        return Broken("too_long", f"{words} words, at most {params.max_words}")
    if _plain(text) in {_plain(ancestor) for ancestor in line}:
        return Broken("unchanged")
    return _not_an_instruction(text, line[-1], outputs)


def instruction_alone(text: str) -> str:
    """Return a rewrite without what models write around it.

    One announcing line and one label in front are taken off where a text is left behind them, and
    quotation marks around the whole.
    """
    text = text.strip()
    for pattern in (_PREAMBLE, _LABEL):
        rest = pattern.sub("", text, count=1).strip()
        text = rest or text
    inner = text[1:-1]
    quoted = len(text) > 2 and text[0] + text[-1] in ('""', "“”") and not set(inner) & set('"“”')
    return inner.strip() if quoted else text


def broken_answer(answer: Completion) -> Broken | None:
    """Return the first rule that an answer to an instruction breaks, or None."""
    unusable = _unusable(answer)
    if unusable is not None:
        return unusable
    text = answer.text.strip()
    if "sorry" in text.casefold() and len(text.split()) < REFUSAL_WORDS:
        return Broken("refusal")
    return None


def says_something(text: str) -> bool:
    """Return whether a text has a word other than a stop word."""
    return any(word not in STOP_WORDS for word in _WORD.findall(text.casefold()))


def _unusable(answer: Completion) -> Broken | None:
    if answer.finish == "error":
        return Broken("engine_error", answer.error)
    if not answer.text.strip():
        return Broken("empty")
    if answer.finish == "length":
        return Broken("truncated", f"{answer.tokens} tokens")
    return None if is_readable(answer.text) else Broken("unreadable")


def _not_an_instruction(text: str, parent: str, outputs: Iterable[str]) -> Broken | None:
    if _ANSWERED.match(text):
        return Broken("answered", "opens like an answer or an input")
    for output in outputs:
        if len(output.split()) > 3 and rouge_l(text, output) >= ANSWER_SIMILARITY:
            return Broken("answered", "repeats the known answer of its root, or the input")
    expected, actual = main_script(parent), main_script(text)
    if expected and actual and expected != actual:
        detail = f"{actual.title()} letters, the instruction has {expected.title()}"
        return Broken("language", detail)
    return None


def main_script(text: str) -> str:
    """Return the script of more than half of the letters, such as ``LATIN``; "" where none is."""
    letters = [char for char in text if char.isalpha()]
    scripts = Counter(unicodedata.name(char, "?").partition(" ")[0] for char in letters)
    if not scripts:
        return ""
    name, count = scripts.most_common(1)[0]
    return name if 2 * count > len(letters) else ""


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
