"""How a stage run ended, as its journal keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure that a retry would repeat: its first message and the exit code."""

    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Done:
    """A finished run.

    Attributes:
        outputs: Digest of each output by name.
        metrics: The stage's metrics.
        token: Names the folder that holds the outputs.
    """

    outputs: Mapping[str, str]
    metrics: Mapping[str, float]
    token: str
