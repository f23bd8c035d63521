"""The official SUPER-NI scores of one answer: ROUGE-L with stems, and exact match.

Scores are in [0, 1] here; ``summary.official`` multiplies by 100 and rounds, as the last step.

Source: allenai/natural-instructions, ``eval/automatic/evaluation.py``, over ``rouge_score`` 0.1.2.
The arithmetic is copied operation by operation so that every score is the same float.
"""

import string
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq

from refine_af.dedup.rouge_l import f_measure, rouge_tokens
from refine_af.evaluation.stemmed_lcs import StemmedLcs

Tokenizer = Callable[[str], Sequence[str]]

SPACE_MARK = "\u0120"
"""GPT-2's sign for a space in front of a token."""

MOST_CHARACTERS = 4_000_000
"""Bound of the texts that :class:`AnswerScorer` remembers."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def cross_lingual(tokenizer: Tokenizer) -> Tokenizer:
    """Return the cross-lingual track's tokenizer, given GPT-2's byte-level one.

    The space mark in front of tokens is removed, as the official script does, so that the first
    word of a text equals the same word further on. A token that was only marks stays, empty.
    """
    return lambda text: [piece.lstrip(SPACE_MARK) for piece in tokenizer(text)]


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Return ROUGE-L F1 of two token lists, in [0, 1]; 0 when either is empty."""
    common: int = LCSseq.similarity(prediction, reference)
    return f_measure(common, len(prediction), len(reference))


def normalise_answer(text: str) -> str:
    """Return ``text`` in lower case, without ASCII punctuation, with single spaces.

    Articles stay, unlike in SQuAD's normalisation, which this one is made from.
    """
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def exact_match(prediction: str, reference: str) -> float:
    """Return 1.0 when both are equal after :func:`normalise_answer`, else 0.0."""
    return float(normalise_answer(prediction) == normalise_answer(reference))


class AnswerScorer:
    """Scores answers, remembering the words of texts and the stems of words.

    Evaluations repeat themselves: a classification task has few different answers, and every arm is
    compared with the same references. Memory stays under some 60 MB.

    Args:
        tokenizer: How ROUGE-L sees text; exact match does not use it. None: lower-case ASCII
            words, stemmed when longer than 3 characters. Text in other scripts then has no
            tokens and scores 0 against everything, itself included: the official behaviour, and
            why the cross-lingual track has its own tokens.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer
        self._lcs = StemmedLcs()
        self._texts: dict[str, list[bytes]] = {}
        self._size = 0

    def score(self, prediction: str, references: Sequence[str]) -> tuple[float, float]:
        """Return (ROUGE-L, exact match), each the maximum over the references.

        There must be at least one reference; callers check, because they can name the file.
        """
        normal = normalise_answer(prediction)
        exact = any(normal == normalise_answer(reference) for reference in references)
        return self.rouge_l(prediction, references), float(exact)

    def rouge_l(self, prediction: str, references: Sequence[str]) -> float:
        """Return the largest ROUGE-L F1 over the references."""
        if self._tokenizer:
            tokens = self._tokenizer(prediction)
            return max(rouge_l(tokens, self._tokenizer(reference)) for reference in references)
        texts = self._texts
        ours = texts.get(prediction)
        if ours is None:
            ours = self._words(prediction)
        best = 0.0
        for reference in references if ours else ():
            theirs = texts.get(reference)
            if theirs is None:
                theirs = self._words(reference)
            if ours == theirs:
                return 1.0
            common = self._lcs.length(ours, theirs)
            if common:
                best = max(best, f_measure(common, len(ours), len(theirs)))
        return best

    def _words(self, text: str) -> list[bytes]:
        words = rouge_tokens(text)
        self._size += len(text)
        if self._size > MOST_CHARACTERS:
            self._texts.clear()
            self._size = len(text)
        self._texts[text] = words
        return words
