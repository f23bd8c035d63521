"""KFP component ``evaluate``."""

from .component import evaluate as evaluate
