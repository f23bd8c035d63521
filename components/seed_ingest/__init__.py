"""KFP component ``seed_ingest``."""

from .component import seed_ingest as seed_ingest
