"""KFP component ``train_operator_policy``."""
