"""KFP component ``dedup_filter``."""

from .component import dedup_filter as dedup_filter
