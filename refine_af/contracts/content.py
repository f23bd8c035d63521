"""Parameters that name content: files, models, tasks, code, endpoints.

A declaration says which kind of content its parameter names (``param(..., names="model")``), and
:meth:`refine_af.contracts.params.Params.content` lists what a stage's values name. Identity of
journals, the checks before a run and the printed plan are derived from that list.
"""

from dataclasses import dataclass
from typing import Literal

EngineKind = Literal["transformers", "vllm", "openai", "scripted"]
"""The text engines; how the name of a model is read depends on which of them opens it."""

ContentKind = Literal[
    "file",  # one file: a path or URI, or ``builtin:`` data of the package
    "tasks",  # evaluation tasks: a file, a folder or a list of files; a path, URI or builtin:tasks
    "operators",  # a YAML file of textual operations: a path, URI or builtin:operators
    "model",  # weights: builtin:, a Hub id with an optional @revision, a folder or URI
    "answers",  # the file of a scripted engine (or a builtin: grammar)
    "served_model",  # a model by the name that an endpoint knows it under
    "code",  # a Python function of the user's, module:function
    "endpoint",  # an address that answers while the stage runs
    "harness",  # tasks of lm-evaluation-harness: names, or .yaml files
]

BY_ENGINE: dict[str, ContentKind] = {
    "transformers": "model",
    "vllm": "model",
    "openai": "served_model",
    "scripted": "answers",
}
"""What the name of a model is for each engine."""


@dataclass(frozen=True, slots=True)
class Content:
    """One piece of content that a value names.

    Attributes:
        parameter: Name of the parameter.
        kind: How ``value`` is read.
        value: As given; of a parameter that lists several, one of them.
        digest: The digest or revision that the run expects, or an empty string.
    """

    parameter: str
    kind: ContentKind
    value: str
    digest: str = ""
