"""The official SUPER-NI scores of one answer: ROUGE-L with stems, and exact match.

Scores are in [0, 1] here; ``summary.official`` multiplies by 100 and rounds, as the last step.

Source: allenai/natural-instructions, ``eval/automatic/evaluation.py``, over ``rouge_score`` 0.1.2.
The arithmetic is copied operation by operation so that every score is the same float; the longest
common subsequence comes from rapidfuzz over token ids, and words are stemmed once.
"""

import re
import string
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq

from refine_af.evaluation.porter import stem

Tokenizer = Callable[[str], Sequence[str]]

SPACE_MARK = "\u0120"
"""GPT-2's sign for a space in front of a token."""

_WORD = re.compile(r"[a-z0-9]+")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def english_tokens(text: str) -> list[str]:
    """Return the lower-case ASCII words of ``text``, stemmed when longer than 3 characters.

    Text in other scripts has no tokens and scores 0 against everything, itself included: the
    official behaviour, and why the cross-lingual track has its own tokens.
    """
    words = _WORD.findall(text.lower())
    return [stem(word) if len(word) > 3 else word for word in words]


def cross_lingual(tokenizer: Tokenizer) -> Tokenizer:
    """Return the cross-lingual track's tokenizer, given GPT-2's byte-level one.

    The space mark in front of tokens is removed, as the official script does, so that the first
    word of a text equals the same word further on. A token that was only marks stays, empty.
    """
    return lambda text: [token.lstrip(SPACE_MARK) for token in tokenizer(text)]


def rouge_l(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """Return ROUGE-L F1 of two token lists, in [0, 1]; 0 when either is empty."""
    if not prediction or not reference:
        return 0.0
    ids: dict[str, int] = {}
    first = [ids.setdefault(token, len(ids)) for token in prediction]
    second = [ids.setdefault(token, len(ids)) for token in reference]
    common = LCSseq.similarity(first, second)
    precision = common / len(prediction)
    recall = common / len(reference)
    if precision + recall > 0:
        return 2 * precision * recall / (precision + recall)
    return 0.0


def normalise_answer(text: str) -> str:
    """Return ``text`` in lower case, without ASCII punctuation, with single spaces.

    Articles stay, unlike in SQuAD's normalisation, which this one is made from.
    """
    return " ".join(text.lower().translate(_NO_PUNCTUATION).split())


def exact_match(prediction: str, reference: str) -> float:
    """Return 1.0 when both are equal after :func:`normalise_answer`, else 0.0."""
    return float(normalise_answer(prediction) == normalise_answer(reference))


def best_scores(
    prediction: str, references: Sequence[str], tokenizer: Tokenizer = english_tokens
) -> tuple[float, float]:
    """Return (ROUGE-L, exact match), each the maximum over the references.

    Args:
        prediction: The answer as the model wrote it.
        references: At least one accepted answer; callers check with a place to name.
        tokenizer: How ROUGE-L sees text; exact match does not use it.
    """
    tokens = tokenizer(prediction)
    rouge = max(rouge_l(tokens, tokenizer(reference)) for reference in references)
    normal = normalise_answer(prediction)
    return rouge, float(any(normal == normalise_answer(reference) for reference in references))
