"""KFP component ``generate_instructions``."""

from .component import generate_instructions as generate_instructions
