"""KFP component ``report_evolution``."""
