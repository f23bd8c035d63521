"""The parameters of automated feedback, shared by ``score_rewards`` and ``train_ppo``."""

from pathlib import Path
from typing import Literal

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import Params, param
from refine_af.engines.opening import EngineSettings, open_text_engine
from refine_af.engines.scorers.checkpoint import Loading
from refine_af.engines.scorers.opening import ScorerModels, open_reward
from refine_af.engines.text import TextEngine
from refine_af.feedback.guards import Guards
from refine_af.feedback.presets import find_preset
from refine_af.feedback.reward import Reward, RewardSettings

REWARD_MODEL = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5"


class RewardParams(Params):
    """Which preset judges, with which models."""

    reward: str = param(
        "balanced",
        "instructmining, no_und, balanced, reward_model, embedded, judge, or module:function of"
        " your own.",
        source="refine_af/feedback/presets.py names paper and test vectors of each",
    )
    reward_drop: str = param("", "Terms of the preset to switch off, comma separated (ablations).")
    reward_extra: str = param(
        "",
        "Scorers whose parts are kept beside the total, comma separated: embedded, reward_model,"
        " unieval, language_model, judge, module:function.",
    )
    reward_model: str = param(
        REWARD_MODEL,
        "Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every learned part"
        " from the package.",
    )
    unieval: str = param("MingZhong/unieval-dialog", "UniEval's dialogue evaluator, likewise.")
    language_model: str = param("openai-community/gpt2", "Of perplexity and IFD, likewise.")
    judge: str = param("", "Model of the part judge, as its engine knows it.")
    judge_engine: Literal["transformers", "vllm", "openai", "scripted"] = param(
        "openai", "Text engine of the judge."
    )
    judge_url: str = param("", "Address of the judge's endpoint (openai).")
    reward_clip: float = param(5.0, "Largest absolute normalised reward.", gt=0.0)
    guards: bool = param(True, "Penalise outputs that are empty, too long, repetitive or foreign.")
    scorer_device: str = param("auto", "Torch device of the scorers' models.", method=False)


def open_preset(params: RewardParams) -> Reward:
    """Return the reward of the preset.

    Raises:
        ParameterError, MissingLibraryError, DependencyError: As
            :func:`refine_af.engines.scorers.opening.open_reward`.
    """
    drop, extra = _names(params.reward_drop), _names(params.reward_extra)
    judges = "judge" in extra or "judge" in find_preset(params.reward, drop).weights
    return open_reward(
        params.reward,
        _models(params, _judge(params) if judges else None),
        RewardSettings(clip=params.reward_clip, guards=Guards() if params.guards else None),
        drop=drop,
        extra=extra,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _models(params: RewardParams, judge: TextEngine | None) -> ScorerModels:
    pairs: dict[str, str] = {}
    for name in ("reward_model", "unieval", "language_model"):
        model = getattr(params, name)
        name_there, _, revision = ("", "", "") if Path(model).is_dir() else model.partition("@")
        pairs |= {name: name_there or model, f"{name}_revision": revision}
    return ScorerModels(**pairs, judge=judge, loading=Loading(device=params.scorer_device))


def _judge(params: RewardParams) -> TextEngine:
    if not params.judge:
        raise ParameterError("the reward asks a judge, and judge is empty; name its model")
    return open_text_engine(
        params.judge_engine, params.judge, settings=EngineSettings(base_url=params.judge_url)
    )
