"""KFP component ``audit_privacy``."""
