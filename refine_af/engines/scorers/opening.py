"""The one place that opens scorers and rewards by name."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from refine_af.contracts.errors import ParameterError, missing_library, nearest
from refine_af.engines.scorers.checkpoint import Loading
from refine_af.engines.text import TextEngine
from refine_af.feedback.interface import Scorer
from refine_af.feedback.presets import Preset, find_preset
from refine_af.feedback.reward import Reward, RewardSettings

EMBEDDED = "builtin:tiny"
SCORERS = ("embedded", "reward_model", "unieval", "language_model", "judge")
UNIEVAL_PARTS = {"naturalness", "coherence", "understandability"}
LANGUAGE_MODEL_PARTS = {"perplexity", "answer_perplexity", "ifd", "pmi"}


@dataclass(frozen=True, slots=True)
class ScorerModels:
    """Which model stands behind each scorer, and how models are loaded.

    Attributes:
        reward_model: Directory or hub id; ``builtin:tiny`` takes all four learned parts from the
            package's own evaluator and needs no other model.
        reward_model_revision: Revision on the hub.
        unieval: Directory or hub id of the dialogue evaluator.
        unieval_revision: Revision on the hub.
        language_model: Directory or hub id of any causal model, for perplexity, IFD and PMI.
        language_model_revision: Revision on the hub.
        judge: The engine of the judge; the caller opens and closes it.
        loading: Device, precision and batch size for all of them.
    """

    reward_model: str = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5"
    reward_model_revision: str = ""
    unieval: str = "MingZhong/unieval-dialog"
    unieval_revision: str = ""
    language_model: str = "openai-community/gpt2"
    language_model_revision: str = ""
    judge: TextEngine | None = None
    loading: Loading = field(default_factory=Loading)


def open_reward(
    preset: str,
    models: ScorerModels | None = None,
    settings: RewardSettings | None = None,
    *,
    drop: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> Reward:
    """Return a reward with the scorers that its preset needs, and ``extra`` ones to log.

    Args:
        preset: A preset's name, or ``module:function``.
        models: Models behind the scorers.
        settings: Normalisation, guards and floor.
        drop: Terms of the preset to switch off, for ablations.
        extra: Names for :func:`open_scorer` whose parts are measured but not weighed.

    Raises:
        ParameterError: For an unknown preset, term or scorer, with the nearest match.
        MissingLibraryError: When a scorer's library is not installed.
        DependencyError: When a model cannot be loaded.
    """
    rule = find_preset(preset, drop)
    return Reward(rule, open_scorers(rule, models, extra=extra), settings)


def open_scorers(
    preset: Preset | str, models: ScorerModels | None = None, *, extra: Sequence[str] = ()
) -> list[Scorer]:
    """Return one open scorer for each source of the preset's parts, then the extra ones.

    Raises:
        ParameterError, MissingLibraryError, DependencyError: As :func:`open_reward`.
    """
    rule = find_preset(preset) if isinstance(preset, str) else preset
    models = models or ScorerModels()
    wanted = [*_needed(rule, models), *extra]
    return [open_scorer(name, models) for name in dict.fromkeys(wanted)]


def open_scorer(name: str, models: ScorerModels | None = None) -> Scorer:
    """Return one open scorer: one of :data:`SCORERS`, or ``module:function``.

    Raises:
        ParameterError, MissingLibraryError, DependencyError: As :func:`open_reward`.
    """
    if name not in SCORERS and ":" not in name:
        raise ParameterError(
            f"scorer is {name!r};{nearest(name, list(SCORERS))} it must be one of:"
            f" {', '.join(SCORERS)}, or module:function of your own"
        )
    _require_libraries(name)
    return _opened(name, models or ScorerModels())


def _needed(rule: Preset, models: ScorerModels) -> list[str]:
    """Return the scorers that give the rule's parts."""
    if ":" in rule.name:
        return [rule.name]
    if rule.name.startswith("embedded") or models.reward_model == EMBEDDED:
        learned = ["embedded"] if {"reward", *UNIEVAL_PARTS} & set(rule.weights) else []
    else:
        learned = ["reward_model"] if "reward" in rule.weights else []
        learned += ["unieval"] if UNIEVAL_PARTS & set(rule.weights) else []
    learned += ["language_model"] if LANGUAGE_MODEL_PARTS & set(rule.weights) else []
    return learned + (["judge"] if "judge" in rule.weights else [])


def _opened(name: str, models: ScorerModels) -> Scorer:
    if name == "embedded" or (name == "reward_model" and models.reward_model == EMBEDDED):
        from refine_af.engines.scorers.embedded import EmbeddedScorer

        return EmbeddedScorer()
    if name == "reward_model":
        from refine_af.engines.scorers.reward_model import open_reward_model

        return open_reward_model(
            models.reward_model, _at(models.loading, models.reward_model_revision)
        )
    if name == "unieval":
        from refine_af.engines.scorers.unieval import UniEval

        return UniEval(models.unieval, _at(models.loading, models.unieval_revision))
    if name == "language_model":
        from refine_af.engines.scorers.language_model import LanguageModelScorer

        return LanguageModelScorer(
            models.language_model, _at(models.loading, models.language_model_revision)
        )
    if name == "judge":
        from refine_af.engines.scorers.judge import JudgeScorer

        if models.judge is None:
            raise ParameterError("scorer judge needs a text engine; give models.judge")
        return JudgeScorer(models.judge)
    from refine_af.engines.scorers.user import UserScorer

    return UserScorer(name)


def _at(loading: Loading, revision: str) -> Loading:
    return Loading(loading.device, loading.precision, loading.batch_size, revision)


def _require_libraries(name: str) -> None:
    if name not in ("embedded", "reward_model", "unieval", "language_model"):
        return
    for library in ("torch", "transformers"):
        try:
            importlib.import_module(library)
        except ImportError as error:
            remedy = "pip install 'refine-af[train]', or run in a train image"
            raise missing_library(error, f"scorer {name}", remedy) from None
