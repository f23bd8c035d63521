"""One function per stage, and the class of its results; ``stages.pyi`` has their types."""

from refine_af.api.call import result_class, stage_function
from refine_af.stages import STAGES

_RESULTS = {stage.name: result_class(stage) for stage in STAGES}
_FUNCTIONS = {stage.name: stage_function(stage, _RESULTS[stage.name]) for stage in STAGES}
__all__ = [*_FUNCTIONS, *(result.__name__ for result in _RESULTS.values())]

globals().update(_FUNCTIONS)
globals().update({result.__name__: result for result in _RESULTS.values()})
