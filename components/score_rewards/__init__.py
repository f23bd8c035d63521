"""KFP component ``score_rewards``."""

from .component import score_rewards as score_rewards
