"""The ``scripted`` text engine, which has no model: for tests and dry runs only.

It answers from a file, or from a small grammar that knows the prompt forms of the pipelines. Its
rows have the syntax of a model's answers and no meaning.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import iter_objects
from refine_af.contracts.randomness import derive
from refine_af.engines.stopping import cut
from refine_af.engines.text import Completion, Determinism, Finish, Request, Sampling, refuse_forms

_VERBS = (
    "Describe",
    "Summarise",
    "Explain",
    "Compare",
    "Draft",
    "List",
    "Rewrite",
    "Invent",
    "Translate",
    "Outline",
    "Judge",
    "Shorten",
    "Correct",
    "Plan",
    "Rank",
    "Classify",
    "Estimate",
    "Illustrate",
    "Question",
    "Defend",
)
_SUBJECTS = (
    "a lighthouse keeper's diary",
    "the rules of a card game",
    "three uses of copper wire",
    "an apology to a neighbour",
    "the water cycle",
    "a recipe without salt",
    "a bus timetable",
    "the plot of a short opera",
    "a letter about late parcels",
    "two kinds of cloud",
    "a budget for a picnic",
    "the parts of a bicycle",
    "an advertisement for umbrellas",
    "a museum audio guide",
    "a lost cat notice",
    "the meaning of a proverb",
    "a paragraph on bees",
    "an interview with a baker",
    "a chess opening",
    "the history of the pencil",
    "a complaint about noise",
    "a speech for a wedding",
    "the steps of a dance",
    "a table of tides",
    "a weather report",
    "the causes of rust",
    "a poem on silence",
    "a rental contract",
    "the rings of a tree",
    "a train delay announcement",
)
_CLAUSES = (
    "in one sentence",
    "for a child of eight",
    "using only short words",
    "as a numbered list",
    "with one example",
    "without the letter z",
    "in the style of a newspaper",
    "and name one exception",
    "for someone in a hurry",
    "in exactly three lines",
    "as a dialogue",
    "and give a reason",
    "with a surprising ending",
    "so that a tourist understands it",
    "in the past tense",
)
_LABELS = ("positive", "negative", "neutral")
_ADDED = 8
"""Items that continue a numbered list."""


@dataclass(frozen=True, slots=True)
class _Answer:
    match: str
    text: str
    finish: Finish


class ScriptedText:
    """Answers that depend on the prompt and the seed of a request, and on nothing else."""

    determinism: Determinism = "exact"

    def __init__(self, script: str) -> None:
        """Read the script.

        Args:
            script: A JSON Lines file with the fields ``text`` and, optional, ``match`` (a text
                that the prompt must hold; empty matches all) and ``finish``; among the lines that
                match, the request's seed chooses. Any ``builtin:`` name means the grammar.

        Raises:
            ParameterError: ``script`` is neither.
            DataError: The file's lines have another form.
        """
        self._script = script
        self._answers: list[_Answer] | None = None
        self._digest = ""
        if not script.startswith("builtin:"):
            path = Path(script)
            if not path.is_file():
                raise ParameterError(
                    f"model is {script!r}; the scripted engine needs an existing JSON Lines file"
                    " of answers, or a builtin: name for its grammar"
                )
            self._answers = [_answer(value, f"{path}:{line}") for line, value in iter_objects(path)]
            self._digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order; a word counts as a token.

        Raises:
            ParameterError: For a JSON schema or a pattern: a script would not follow them.
        """
        refuse_forms("scripted", sampling)
        return [self._complete(request, sampling) for request in requests]

    def _complete(self, request: Request, sampling: Sampling) -> Completion:
        text, finish = self._text(request, sampling)
        text = text if sampling.choices else cut(text, sampling.stop)
        words = re.findall(r"\s*\S+", text)
        if len(words) > sampling.max_tokens and not sampling.choices:
            words, finish = words[: sampling.max_tokens], "length"
            text = "".join(words)
        read = len(request.prompt.split())
        if finish == "error":
            return Completion(request.id, "", "error", read, 0, error=text)
        return Completion(request.id, text, finish, read, len(words))

    def _text(self, request: Request, sampling: Sampling) -> tuple[str, Finish]:
        if self._answers is None:
            return write(request.prompt, request.seed, sampling.choices), "stop"
        fitting = [answer for answer in self._answers if answer.match in request.prompt]
        if not fitting:
            return f"no line of {self._script} matches the prompt", "error"
        chosen = fitting[derive(request.seed, "scripted", "line") % len(fitting)]
        return chosen.text, chosen.finish

    def describe(self) -> dict[str, str]:
        """Return the engine and the digest of its script; there is no model."""
        source = {"script_digest": self._digest} if self._digest else {"script": "grammar"}
        return {"engine": "scripted", "determinism": self.determinism, **source}

    def close(self) -> None:
        """Nothing is held."""


def _answer(value: dict[str, object], location: str) -> _Answer:
    text, match, finish = value.get("text"), value.get("match", ""), value.get("finish", "stop")
    if not isinstance(text, str) or not isinstance(match, str):
        raise DataError(f"{location}: 'text' and 'match' must be strings, and 'text' is required")
    if finish not in ("stop", "length", "error"):
        raise DataError(f"{location}: finish is {finish!r}; it must be one of: error, length, stop")
    return _Answer(match, text, finish)


def write(prompt: str, seed: int, choices: Sequence[str] = ()) -> str:
    """Return what the grammar writes after ``prompt``."""
    if {choice.strip() for choice in choices} == {"Yes", "No"}:
        return choices["lassify" not in prompt]
    if choices:
        return choices[derive(seed, "scripted", "choice") % len(choices)]
    numbered = re.search(r"(?:^|\n)(\d+)\.\s*$", prompt)
    if numbered:
        items = [f" {_instruction(seed, index)}" for index in range(_ADDED)]
        marks = [f"\n{int(numbered[1]) + index}." for index in range(1, _ADDED)]
        return items[0] + "".join(map(str.__add__, marks, items[1:])) + "\n"
    if prompt.endswith("Class label:"):
        return "".join(
            f"{'' if index == 0 else 'Class label:'} {label}\nInput: {_phrase(seed, index)}\n"
            for index, label in enumerate(_LABELS)
        )
    if prompt.endswith("Answer:"):
        return " Yes" if "lassify" in prompt else " No"
    if re.search(r"Output:\s*$", prompt):
        return f" {_phrase(seed, 0)}"
    return f"Input: {_phrase(seed, 0)}\nOutput: {_phrase(seed, 1)}\n"


def _pick(words: Sequence[str], seed: int, kind: str, index: int) -> str:
    return words[derive(seed, "scripted", kind, index) % len(words)]


def _phrase(seed: int, index: int) -> str:
    return f"{_pick(_SUBJECTS, seed, 'subject', index)} {_pick(_CLAUSES, seed, 'clause', index)}"


def _instruction(seed: int, index: int) -> str:
    return f"{_pick(_VERBS, seed, 'verb', index)} {_phrase(seed, index)}."
