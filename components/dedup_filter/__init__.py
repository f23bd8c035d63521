"""KFP component ``dedup_filter``."""
