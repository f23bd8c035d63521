"""KFP component ``notify``."""
