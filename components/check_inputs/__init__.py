"""KFP component ``check_inputs``."""
