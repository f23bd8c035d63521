"""The parameters of automated feedback, shared by ``score_rewards`` and ``train_ppo``."""

from refine_af.contracts.params import Params, param
from refine_af.engines.scorers.checkpoint import Loading
from refine_af.engines.scorers.opening import ScorerModels, open_reward
from refine_af.feedback.guards import Guards
from refine_af.feedback.reward import Reward, RewardSettings

REWARD_MODEL = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5"


class RewardParams(Params):
    """Which preset judges, with which models."""

    reward: str = param(
        "balanced",
        "instructmining, no_und, balanced, reward_model, embedded, or module:function of your own.",
        source="refine_af/feedback/presets.py names paper and test vectors of each",
    )
    reward_model: str = param(
        REWARD_MODEL, "Reward model; builtin:tiny takes every learned part from the package."
    )
    unieval: str = param("MingZhong/unieval-dialog", "UniEval's dialogue evaluator.")
    reward_clip: float = param(5.0, "Largest absolute normalised reward.", gt=0.0)
    guards: bool = param(True, "Penalise outputs that are empty, too long, repetitive or foreign.")


def open_preset(params: RewardParams) -> Reward:
    """Return the reward of the preset."""
    return open_reward(
        params.reward,
        ScorerModels(reward_model=params.reward_model, unieval=params.unieval, loading=Loading()),
        RewardSettings(clip=params.reward_clip, guards=Guards() if params.guards else None),
    )
