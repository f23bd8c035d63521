"""KFP component ``evolve_instructions``."""

from .component import evolve_instructions as evolve_instructions
