"""KFP component ``generate_instructions``."""
