"""KFP component ``audit_privacy``."""

from .component import audit_privacy as audit_privacy
