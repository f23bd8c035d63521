"""KFP component ``report_evolution``."""

from .component import report_evolution as report_evolution
