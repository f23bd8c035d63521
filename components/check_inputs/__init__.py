"""KFP component ``check_inputs``."""

from .component import check_inputs as check_inputs
