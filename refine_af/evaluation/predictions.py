"""Scored answers: from a model's answers, or from the files of any other system."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.jsonl import JsonObject, iter_objects
from refine_af.contracts.records import Prediction, content_id
from refine_af.evaluation.metrics import AnswerScorer, Tokenizer
from refine_af.evaluation.tasks import EvaluationTask, TaskInstance

SHOWN_IDS = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """What one row of an official reference file says."""

    id: str
    task: str
    category: str
    track: str
    references: tuple[str, ...]


class Scorers:
    """One :class:`AnswerScorer` per track.

    Args:
        tokenizer: The cross-lingual track's, see ``metrics.cross_lingual``; only needed where the
            track occurs.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._default = AnswerScorer()
        self._xlingual = AnswerScorer(tokenizer) if tokenizer else None

    def score(self, gold: Reference, answer: str) -> Prediction:
        """Return the scored row of one answer.

        Raises:
            ParameterError: For the cross-lingual track without its tokenizer.
        """
        rouge, exact = self._for_track(gold).score(answer, gold.references)
        return Prediction(
            id=content_id("pred", gold.task, gold.id, answer, gold.references),
            task=gold.task,
            category=gold.category,
            instance=gold.id,
            prediction=answer,
            references=gold.references,
            rouge_l=rouge,
            exact_match=exact,
        )

    def _for_track(self, gold: Reference) -> AnswerScorer:
        if gold.track == "default":
            return self._default
        if self._xlingual is None:
            raise ParameterError(
                f"task {gold.task!r} is of the cross-lingual track, whose ROUGE-L needs GPT-2's"
                " tokenizer; give its tokenizer.json (gpt2_tokenizer) or leave the task out"
            )
        return self._xlingual


def score_answer(
    task: EvaluationTask, instance: TaskInstance, answer: str, tokenizer: Tokenizer | None = None
) -> Prediction:
    """Return the scored row of one answer to an instance of a loaded task.

    Args:
        task: The task.
        instance: One of its instances.
        answer: What the model wrote.
        tokenizer: The cross-lingual track's; pass the same object each time, because what was
            remembered about texts is kept per tokenizer.

    Raises:
        ParameterError: For a task of the cross-lingual track without its tokenizer.
    """
    return _scorers(tokenizer).score(_reference_of(task, instance), answer)


def score_predictions(
    references: Path, predictions: Path, *, tokenizer: Tokenizer | None = None
) -> list[Prediction]:
    """Return the scored rows of a prediction file, in the order of the reference file.

    Args:
        references: JSON Lines with ``id``, ``references``, ``task_id``, ``task_category`` and
            ``track`` (optional, ``default``), the official reference file; ``task`` and
            ``category`` are read too.
        predictions: JSON Lines with ``id`` and ``prediction``.
        tokenizer: The cross-lingual track's, needed when the track occurs.

    Raises:
        DataError: For an id that the references lack, one without a prediction (the official
            script would count it as wrong without a word), an id met twice, an empty reference
            list or a row of another shape.
        ParameterError: When the cross-lingual track occurs and no tokenizer is given.
    """
    golds = {gold.id: gold for gold in _read_references(references)}
    answers = _read_answers(predictions)
    _same_ids(golds, answers, references, predictions)
    scorers = Scorers(tokenizer)
    return [scorers.score(gold, answers[gold.id]) for gold in golds.values()]


@lru_cache(maxsize=2)
def _scorers(tokenizer: Tokenizer | None) -> Scorers:
    return Scorers(tokenizer)


def _reference_of(task: EvaluationTask, instance: TaskInstance) -> Reference:
    return Reference(instance.id, task.name, task.category, task.track, instance.references)


def _read_references(path: Path) -> Iterator[Reference]:
    seen: dict[str, str] = {}
    for number, row in iter_objects(path):
        where = f"{path}:{number}"
        gold = Reference(
            id=_text(row, ("id",), where),
            task=_text(row, ("task_id", "task"), where),
            category=_text(row, ("task_category", "category"), where),
            track=_text(row, ("track",), where) if "track" in row else "default",
            references=_accepted(row, where),
        )
        if gold.track not in ("default", "xlingual"):
            raise DataError(f"{where}: track is {gold.track!r}; it must be default or xlingual")
        _once(gold.id, where, seen)
        yield gold


def _accepted(row: JsonObject, where: str) -> tuple[str, ...]:
    items = row.get("references")
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise DataError(f"{where}: field 'references' must be a list of strings")
    if not items:
        raise DataError(f"{where}: field 'references' is empty; give at least one accepted answer")
    return tuple(items)


def _read_answers(path: Path) -> dict[str, str]:
    answers: dict[str, str] = {}
    seen: dict[str, str] = {}
    for number, row in iter_objects(path):
        where = f"{path}:{number}"
        key = _text(row, ("id",), where)
        _once(key, where, seen)
        answers[key] = _text(row, ("prediction",), where)
    return answers


def _text(row: JsonObject, names: tuple[str, ...], where: str) -> str:
    for name in names:
        if isinstance(row.get(name), str):
            return str(row[name])
    wanted = " or ".join(repr(name) for name in names)
    raise DataError(f"{where}: field {wanted} must be a string; found the fields {sorted(row)}")


def _once(key: str, where: str, seen: dict[str, str]) -> None:
    if key in seen:
        raise DataError(f"{where}: id {key!r} was already used at {seen[key]}")
    seen[key] = where


def _same_ids(
    golds: Mapping[str, Reference], answers: Mapping[str, str], references: Path, predictions: Path
) -> None:
    unknown = [key for key in answers if key not in golds]
    if unknown:
        raise DataError(
            f"{predictions}: {len(unknown)} ids are not in {references}: {_some(unknown)};"
            " score predictions against the reference file they were made for"
        )
    missing = [key for key in golds if key not in answers]
    if missing:
        raise DataError(
            f"{predictions}: {len(missing)} of {len(golds)} instances have no prediction:"
            f" {_some(missing)}; an answer that stayed empty is written as an empty string"
        )


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN_IDS} more" if len(keys) > SHOWN_IDS else ""
    return ", ".join(repr(key) for key in keys[:SHOWN_IDS]) + more
