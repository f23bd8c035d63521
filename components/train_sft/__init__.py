"""KFP component ``train_sft``."""
