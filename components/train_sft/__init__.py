"""KFP component ``train_sft``."""

from .component import train_sft as train_sft
