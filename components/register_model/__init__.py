"""KFP component ``register_model``."""

from .component import register_model as register_model
