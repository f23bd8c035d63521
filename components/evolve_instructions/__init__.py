"""KFP component ``evolve_instructions``."""
