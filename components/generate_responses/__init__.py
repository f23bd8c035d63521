"""KFP component ``generate_responses``."""

from .component import generate_responses as generate_responses
