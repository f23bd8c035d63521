"""KFP component ``evaluate``."""
