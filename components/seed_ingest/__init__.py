"""KFP component ``seed_ingest``."""
