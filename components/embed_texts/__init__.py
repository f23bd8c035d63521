"""KFP component ``embed_texts``."""
