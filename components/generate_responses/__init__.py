"""KFP component ``generate_responses``."""
