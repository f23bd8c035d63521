"""ROUGE-L over word stems, stemming as few words as possible.

Stemming is most of what an evaluation's first pass over its texts costs, and in most rows it can
change nothing: equal words have equal stems, and equal stems come from words of equal first two
letters. So the common subsequence of stems is at least as long as that of words and at most as long
as that of first letters; only where those two lengths differ are words stemmed, and of those only
the ones whose first letters are in the other text too: the others can meet no word of it.
"""

from collections.abc import Iterable
from itertools import compress
from operator import itemgetter

from rapidfuzz.distance import LCSseq

from refine_af.evaluation.porter import stem

UNLIKE_THEIR_STEM = frozenset(
    (
        *(b"dying", b"lying", b"tying"),
        *(bytes((vowel,)) + ending for vowel in b"aeiou" for ending in (b"ing", b"ings")),
        *(b"aeds", b"ieds", b"oeds", b"ueds"),
    )
)
"""The words that do not share their first two letters with their stem: the irregular ones ("die"),
and those of which step 1b leaves one vowel. Every other step leaves two letters or more."""

MOST_WORDS = 200_000
"""Bound of the stems that are remembered."""

_first_letters = itemgetter(slice(2))


def token(word: bytes) -> str:
    """Return the stem of a word of more than three letters, else the word, as ``rouge_score``."""
    return stem(word.decode()) if len(word) > 3 else word.decode()


class StemmedLcs:
    """Compares lists of words by their stems, stemming each different word at most once."""

    def __init__(self) -> None:
        self._stems: dict[bytes, str] = {}

    def length(self, ours: list[bytes], theirs: list[bytes]) -> int:
        """Return the length of the longest common subsequence of stems, in words.

        Words are compared by their 64-bit hashes, as rapidfuzz does.
        """
        least: int = LCSseq.similarity(ours, theirs)
        if least == len(ours) or least == len(theirs):
            return least
        if not (UNLIKE_THEIR_STEM.isdisjoint(ours) and UNLIKE_THEIR_STEM.isdisjoint(theirs)):
            return self._length_of_stems(ours, theirs)
        ours_first, theirs_first = [*map(_first_letters, ours)], [*map(_first_letters, theirs)]
        if LCSseq.similarity(ours_first, theirs_first) == least:
            return least
        return self._length_of_stems(
            compress(ours, map(set(theirs_first).__contains__, ours_first)),
            compress(theirs, map(set(ours_first).__contains__, theirs_first)),
        )

    def _length_of_stems(self, ours: Iterable[bytes], theirs: Iterable[bytes]) -> int:
        length: int = LCSseq.similarity(self._tokens(ours), self._tokens(theirs))
        return length

    def _tokens(self, words: Iterable[bytes]) -> list[str]:
        stems = self._stems
        if len(stems) > MOST_WORDS:
            stems.clear()
        tokens = []
        for word in words:
            known = stems.get(word)
            if known is None:
                known = stems[word] = token(word)
            tokens.append(known)
        return tokens
