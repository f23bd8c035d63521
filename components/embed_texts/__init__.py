"""KFP component ``embed_texts``."""

from .component import embed_texts as embed_texts
