"""KFP component ``report``."""

from .component import report as report
