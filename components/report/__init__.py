"""KFP component ``report``."""
