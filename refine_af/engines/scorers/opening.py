"""Opens the scorers that a reward needs; a scorer's library loads when it is opened."""

import importlib
from collections.abc import Callable
from pathlib import Path

from refine_af.contracts.errors import ParameterError, missing_library, nearest
from refine_af.engines.models import check_model, resolve_model
from refine_af.engines.opening import open_engine
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.checkpoint import Loading
from refine_af.engines.text import TextEngine
from refine_af.feedback.interface import Scorer
from refine_af.feedback.params import EMBEDDED, SCORER_PARTS, RewardParams
from refine_af.feedback.reward import Reward

LEARNED = ("reward_model", "unieval", "language_model")
"""Scorers whose model a parameter of the same name gives."""


OpenJudge = Callable[[EngineParams], TextEngine]
"""Opens the judge's engine; :func:`open_engine` is one."""


def open_reward(params: RewardParams, open_judge: OpenJudge = open_engine) -> Reward:
    """Return the reward with the scorers that it needs, and those of ``reward_extra`` to log.

    Args:
        params: Rule and scorers.
        open_judge: A stage that journals its calls gives its own.

    Raises:
        ParameterError: When a function of the user's cannot be found.
        MissingLibraryError: When a scorer's library is not installed.
        DependencyError: When a model cannot be loaded.
    """
    return Reward([open_scorer(name, params, open_judge) for name in params.scorers], params)


def check_scorers(params: RewardParams) -> list[str]:
    """Refuse models of scorers that could not be loaded; return those that can.

    Raises:
        ParameterError, DataError, DependencyError: As :func:`refine_af.engines.models.check_model`.
    """
    names = [name for name in params.scorers if name in LEARNED]
    models: list[str] = [getattr(params, name) for name in names]
    wanted = [model for model in models if model != EMBEDDED]
    for model in wanted:
        check_model(model)
    return wanted


def open_scorer(name: str, params: RewardParams, open_judge: OpenJudge = open_engine) -> Scorer:
    """Return one open scorer: one of :data:`SCORER_PARTS`, or ``module:function``.

    Raises:
        ParameterError, MissingLibraryError, DependencyError: As :func:`open_reward`.
    """
    if name not in SCORER_PARTS and ":" not in name:
        raise ParameterError(
            f"scorer is {name!r};{nearest(name, list(SCORER_PARTS))} it must be one of:"
            f" {', '.join(SCORER_PARTS)}, or module:function of your own"
        )
    if ":" in name:
        from refine_af.engines.scorers.user import UserScorer

        return UserScorer(name)
    if name == "judge":
        from refine_af.engines.scorers.judge import JudgeScorer

        return JudgeScorer(open_judge(judge_engine(params)))
    _require_libraries(name)
    if name == "embedded" or (name == "reward_model" and params.reward_model == EMBEDDED):
        from refine_af.engines.scorers.embedded import EmbeddedScorer

        return EmbeddedScorer()
    return _from_checkpoint(name, params)


def judge_engine(params: RewardParams) -> EngineParams:
    """Return the parameters of the judge's text engine."""
    return EngineParams(
        model=params.judge,
        engine=params.judge_engine,
        base_url=params.judge_url,
        price_per_million_read=params.judge_price_per_million_read,
        price_per_million_written=params.judge_price_per_million_written,
    )


def _from_checkpoint(name: str, params: RewardParams) -> Scorer:
    model, loading = _located(getattr(params, name), params.scorer_device)
    if name == "reward_model":
        from refine_af.engines.scorers.reward_model import open_reward_model

        return open_reward_model(model, loading)
    if name == "unieval":
        from refine_af.engines.scorers.unieval import UniEval

        return UniEval(model, loading)
    from refine_af.engines.scorers.language_model import LanguageModelScorer

    return LanguageModelScorer(model, loading)


def _located(model: str, device: str) -> tuple[str, Loading]:
    """Return a folder or Hub id without its ``@revision``, and how it is loaded."""
    if Path(model).is_dir():
        return model, Loading(device=device)
    if "://" in model:
        return str(resolve_model(model)), Loading(device=device)
    name, _, revision = model.partition("@")
    return name, Loading(device=device, revision=revision)


def _require_libraries(name: str) -> None:
    for library in ("torch", "transformers"):
        try:
            importlib.import_module(library)
        except ImportError as error:
            remedy = "pip install 'refine-af[train]', or run in a train image"
            raise missing_library(error, f"scorer {name}", remedy) from None
