"""The project from Python: every stage as a function, and runs that can be started and read.

>>> from refine_af import api
>>> kept, rejected = api.dedup_filter(["Sort a list of numbers.", "Sort a list of numbers!"])
>>> [row["instruction"] for row in kept]
['Sort a list of numbers.']

A stage's function takes its inputs as rows or paths and its parameters by their names; both, and
what comes back, are typed (``stages.pyi``, written from the stages' declarations).
"""

from refine_af.api import stages
from refine_af.api.engine import open_engine as open_engine
from refine_af.api.results import Rows as Rows
from refine_af.api.results import StageResult as StageResult
from refine_af.api.results import Table as Table
from refine_af.api.runs import Run as Run
from refine_af.api.runs import RunningRun as RunningRun
from refine_af.api.runs import TaskState as TaskState
from refine_af.api.runs import start_run as start_run
from refine_af.api.stages import *  # noqa: F403  one function per stage

dedup = stages.dedup_filter
score = stages.score_rewards
