"""KFP component ``train_ppo``."""

from .component import train_ppo as train_ppo
