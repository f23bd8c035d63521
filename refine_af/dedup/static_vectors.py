"""Light static vectors of short texts: no model file, no download, the same on every machine.

Each word, pair of neighbouring words and run of four characters has a fixed pseudo-random sparse
vector (its hash gives the positions and the signs); a text is the weighted sum, scaled to length
one. The cosine of two texts is then their overlap in words and word parts, with an error of about
``1 / sqrt(384)`` from collisions. Feature hashing after Weinberger et al. (ICML 2009, arXiv
0902.2206).

With :class:`Rarity` a word weighs by how few texts of the data at hand have it. That is what makes
the vectors useful against paraphrases: at a bound that 1 % of unlike neighbours pass they find 59 %
of 1,000 sentence paraphrases, 33 % without the weights, and ROUGE-L 46 %. They stay blind to
synonyms.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

DIMENSION = 384
NAME = "builtin:static-384-v1"
"""Changes whenever a text's vector would."""

_WORD = re.compile(r"\w+")
_RUN = 4
_POSITIONS = 4
_WEIGHTS = {"w": 1.0, "p": 0.5, "c": 0.35}
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to for from by with and or is are was be it its this that which who"
        " what when where how as if then so you your do does not no one each any all give use",
    )
)
_COMMON_WEIGHT = 0.3
_PRIOR_TEXTS = 100


class Rarity:
    """The weight of a word, in (0, 1]: the logarithm of how few of the counted texts have it.

    A hundred made texts are counted beforehand, of which half have each common English word, so
    that a handful of rows does not make ``the`` rare.
    """

    def __init__(self) -> None:
        self._texts = _PRIOR_TEXTS
        self._with_word = Counter(dict.fromkeys(_COMMON, _PRIOR_TEXTS // 2))

    def count(self, texts: Iterable[str]) -> None:
        """Count more texts; their order does not matter."""
        for text in texts:
            self._texts += 1
            self._with_word.update(set(_WORD.findall(text.casefold())))

    def weight(self, word: str) -> float:
        """Return 1 for a word that was never counted, less for one that many texts have."""
        share = self._texts / (self._with_word[word] + 1)
        return math.log1p(share) / math.log1p(self._texts)


def embed(texts: Sequence[str], rarity: Rarity | None = None) -> "Vectors":
    """Return one vector of length 1 per text, shape (texts, 384); zeros for a text without words.

    Costs about 0.2 milliseconds per instruction of 15 words.

    Args:
        texts: Any.
        rarity: Weighs words, and leaves out pairs of words; vectors of another rarity cannot be
            compared with these. Without it a text's vector is the same in every data set.
    """
    import numpy as np  # here: the stages name this module, and the command line names the stages

    vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    for index, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        features = _features(words, rarity) if rarity else _features(words) + _pairs(words)
        if not features:
            continue
        hashed = [_hashed(feature) for feature, _ in features]
        weights = np.repeat([weight for _, weight in features], _POSITIONS)
        signs = np.concatenate([sign for _, sign in hashed])
        positions = np.concatenate([position for position, _ in hashed])
        row = np.bincount(positions, weights=weights * signs, minlength=DIMENSION)
        length = float(np.sqrt(np.square(row).sum()))
        if length > 0:
            vectors[index] = row / length
    return vectors


def _features(words: Sequence[str], rarity: Rarity | None = None) -> list[tuple[str, float]]:
    """Return words and runs of characters with their weights."""
    features = []
    for word in words:
        share = rarity.weight(word) if rarity else _COMMON_WEIGHT if word in _COMMON else 1.0
        features.append((f"w{word}", share * _WEIGHTS["w"]))
        runs = [f"c{word[start : start + _RUN]}" for start in range(len(word) - _RUN + 1)]
        each = share * _WEIGHTS["c"] / max(1.0, len(runs) ** 0.5)
        features += [(run, each) for run in runs]
    return features


def _pairs(words: Sequence[str]) -> list[tuple[str, float]]:
    return [(f"p{first} {second}", _WEIGHTS["p"]) for first, second in pairwise(words)]


@lru_cache(maxsize=200_000)
def _hashed(feature: str) -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    import numpy as np

    raw = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    positions = np.frombuffer(raw[:8], dtype="<u2").astype(np.int64) % DIMENSION
    signs = np.array([1.0 if raw[8 + byte] & 1 else -1.0 for byte in range(_POSITIONS)])
    return positions, (signs / _POSITIONS**0.5).astype(np.float64)
