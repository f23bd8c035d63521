"""KFP component ``generate_instances``."""

from .component import generate_instances as generate_instances
