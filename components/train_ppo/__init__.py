"""KFP component ``train_ppo``."""
