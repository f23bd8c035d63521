"""Embeddings for the policy, the memory bank and the groups of seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from refine_af.dedup import static_vectors
from refine_af.evolve.state import Vectors

LIGHT = "builtin:static"
NAME_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Embedding:
    """Turns texts into rows of length 1.

    Attributes:
        name: Changes whenever a text's vector would; a policy refuses another one.
        dimension: Length of a row.
        embed: Returns one row per text, shape (texts, dimension).
    """

    name: str
    dimension: int
    embed: Callable[[Sequence[str]], Vectors]


@cache
def open_embedding(model: str) -> Embedding:
    """Return the embedding by ``builtin:static`` or by a sentence-transformers model.

    A model is loaded once in a process and stays until its end.

    Args:
        model: As :func:`refine_af.engines.models.resolve_model`, or ``builtin:static``.

    Raises:
        ParameterError, DataError, DependencyError: The model cannot be read.
    """
    if model == LIGHT:
        return Embedding(static_vectors.NAME, static_vectors.DIMENSION, static_vectors.embed)
    from refine_af.engines.models import model_revision
    from refine_af.engines.sentence_vectors import SentenceVectors

    vectors = SentenceVectors(model, dtype="float32")
    revision = model_revision(model).rpartition(":")[2]
    dimension = vectors.embed([]).shape[1]
    return Embedding(f"sentence:{revision[:NAME_DIGITS]}", dimension, vectors.embed)
