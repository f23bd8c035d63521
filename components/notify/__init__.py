"""KFP component ``notify``."""

from .component import notify as notify
