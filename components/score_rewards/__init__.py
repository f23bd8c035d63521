"""KFP component ``score_rewards``."""
