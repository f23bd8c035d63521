"""The official SUPER-NI scores of one answer: ROUGE-L with stems, and exact match.

Scores are in [0, 1] here; ``summary.official`` multiplies by 100 and rounds, as the last step.

Source: allenai/natural-instructions, ``eval/automatic/evaluation.py``, over ``rouge_score`` 0.1.2.
The arithmetic is copied operation by operation so that every score is the same float; the longest
common subsequence comes from rapidfuzz over token ids, and words are stemmed once.
"""

import string
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq

from refine_af.dedup.rouge_l import rouge_tokens
from refine_af.evaluation.porter import stem

Tokenizer = Callable[[str], Sequence[str]]

SPACE_MARK = "\u0120"
"""GPT-2's sign for a space in front of a token."""

SHORT_TEXT = 200
MOST_TEXTS = 20_000
MOST_WORDS = 200_000
"""Bounds of what :class:`AnswerScorer` remembers: characters, texts, words."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def english_tokens(text: str) -> list[str]:
    """Return the lower-case ASCII words of ``text``, stemmed when longer than 3 characters.

    Text in other scripts has no tokens and scores 0 against everything, itself included: the
    official behaviour, and why the cross-lingual track has its own tokens.
    """
    return [_token(word.decode()) for word in rouge_tokens(text)]


def cross_lingual(tokenizer: Tokenizer) -> Tokenizer:
    """Return the cross-lingual track's tokenizer, given GPT-2's byte-level one.

    The space mark in front of tokens is removed, as the official script does, so that the first
    word of a text equals the same word further on. A token that was only marks stays, empty.
    """
    return lambda text: [token.lstrip(SPACE_MARK) for token in tokenizer(text)]


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Return ROUGE-L F1 of two token lists, in [0, 1]; 0 when either is empty."""
    ids: dict[str, int] = {}
    return _f1(
        [ids.setdefault(token, len(ids)) for token in prediction],
        [ids.setdefault(token, len(ids)) for token in reference],
    )


def normalise_answer(text: str) -> str:
    """Return ``text`` in lower case, without ASCII punctuation, with single spaces.

    Articles stay, unlike in SQuAD's normalisation, which this one is made from.
    """
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def exact_match(prediction: str, reference: str) -> float:
    """Return 1.0 when both are equal after :func:`normalise_answer`, else 0.0."""
    return float(normalise_answer(prediction) == normalise_answer(reference))


class AnswerScorer:
    """Scores answers, remembering the tokens of words and short texts from row to row.

    Evaluations repeat themselves: a classification task has few different answers, and every arm
    is held against the same references. Memory stays under some 60 MB.

    Args:
        tokenizer: How ROUGE-L sees text; exact match does not use it. None is
            :func:`english_tokens`.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer
        self._forget()

    def _forget(self) -> None:
        self._ids: dict[str, int] = {}
        self._words = _Words(self._ids)
        self._texts: dict[str, list[int]] = {}

    def score(self, prediction: str, references: Sequence[str]) -> tuple[float, float]:
        """Return (ROUGE-L, exact match), each the maximum over the references.

        There must be at least one reference; callers check, because they have a place to name.
        """
        normal = normalise_answer(prediction)
        exact = any(normal == normalise_answer(reference) for reference in references)
        return self.rouge_l(prediction, references), float(exact)

    def rouge_l(self, prediction: str, references: Sequence[str]) -> float:
        """Return the largest ROUGE-L F1 over the references."""
        if len(self._words) + len(self._ids) > MOST_WORDS or len(self._texts) > MOST_TEXTS:
            # Between rows only: ids of one row must come from one table.
            self._forget()
        tokens = self._encoded(prediction)
        return max(_f1(tokens, self._encoded(reference)) for reference in references)

    def _encoded(self, text: str) -> list[int]:
        known = self._texts.get(text)
        if known is None:
            known = self._encode(text)
            if len(text) <= SHORT_TEXT:
                self._texts[text] = known
        return known

    def _encode(self, text: str) -> list[int]:
        if self._tokenizer:
            ids = self._ids
            return [ids.setdefault(token, len(ids)) for token in self._tokenizer(text)]
        return list(map(self._words.__getitem__, rouge_tokens(text)))


class _Words(dict[bytes, int]):
    """Ids of words, two of one stem alike; a word that is met for the first time is stemmed."""

    def __init__(self, ids: dict[str, int]) -> None:
        self._ids = ids

    def __missing__(self, word: bytes) -> int:
        ids = self._ids
        number = self[word] = ids.setdefault(_token(word.decode()), len(ids))
        return number


def _token(word: str) -> str:
    return stem(word) if len(word) > 3 else word


def _f1(prediction: Sequence[int], reference: Sequence[int]) -> float:
    if not prediction or not reference:
        return 0.0
    common: int = LCSseq.similarity(prediction, reference)
    precision = common / len(prediction)
    recall = common / len(reference)
    if precision + recall > 0:
        return 2 * precision * recall / (precision + recall)
    return 0.0
