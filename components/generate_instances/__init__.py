"""KFP component ``generate_instances``."""
