"""A text engine that several stages can share."""

from refine_af.contracts.params import Scalar
from refine_af.engines.opening import open_engine as opened
from refine_af.engines.params import EngineParams
from refine_af.engines.text import TextEngine


def open_engine(model: str, engine: str = "transformers", **params: Scalar) -> TextEngine:
    """Open a model once, to be passed to several stages as ``engine``; close it afterwards.

    Anything else with the methods of :class:`refine_af.engines.text.TextEngine` may be passed too.

    Args:
        model: builtin:tiny, a Hub id, a path or URI, or an endpoint's name of it.
        engine: transformers, vllm, openai or scripted.
        params: Further parameters of the engine, such as ``base_url`` or ``dtype``.

    Raises:
        RefineAfError: As :func:`refine_af.engines.opening.open_engine`.
    """
    values = {"model": model, "engine": engine, **params}
    return opened(EngineParams.parse(values, where="open_engine"))
