"""KFP component ``train_operator_policy``."""

from .component import train_operator_policy as train_operator_policy
