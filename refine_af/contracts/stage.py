"""A stage as one frozen value. Components, CLI, placement and Argo templates derive from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from refine_af.contracts.params import Params
from refine_af.contracts.records import ModelCall, Row

Kind = Literal["rows", "model", "folder", "json", "html", "markdown", "parameter", "records"]
Image = Literal["core", "vllm", "train"]
Metrics = dict[str, float]
"""Deterministic numbers of a stage. Seconds and rates belong to telemetry, never here."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An input or output of a stage.

    Attributes:
        name: Snake case; the parameter name in KFP and the option name in the CLI.
        kind: ``rows`` (JSON Lines), ``model`` and ``folder`` (directories), ``json``, ``html``,
            ``markdown``, ``parameter`` (a short text handed on as a value, not as an artifact) or
            ``records`` (see ``RECORDS``).
        summary: One line for people.
        optional: An input that the stage also runs without, or an output that need not be kept.
        record: What each row holds, where all rows have one form.
        shown: For outputs: the report shows it, so it goes into the task's records.
    """

    name: str
    kind: Kind
    summary: str
    optional: bool = False
    record: type[Row] | None = None
    shown: bool = False


EVERY_STAGE_WRITES = (
    Artifact("metrics", "json", "Deterministic numbers."),
    Artifact("provenance", "json", "Parameters, digests of inputs and code that decided the rows."),
    Artifact("telemetry", "json", "Seconds, rates, host: all that differs between equal runs."),
)
"""Outputs that the runner writes for every stage; optional on the command line."""

MODEL_CALLS = Artifact(
    "calls",
    "rows",
    "Every model call: prompt's digest, seed, answer as it came.",
    record=ModelCall,
)
"""Output of every stage that asks a model."""

RECORDS = Artifact(
    "records",
    "records",
    "Metrics, provenance and telemetry; and what the report shows of this task and those before.",
)
"""On a cluster the small files of a task are one artifact, a folder, so that a graph can be read::

    metrics, provenance, telemetry      of the task itself
    artifacts/<task>/<artifact>         provenance and shown outputs of the task and of those before

The second part has the layout of a run on one machine and grows along an arm, so that the report
takes one artifact for an arm.
"""

BEFORE = Artifact("before", "records", "Records of the task before this one.", optional=True)
"""Handed on in ``records``; decides no row."""


def task_folder(stage: str, label: str) -> str:
    """Return the name of a task's folder: ``evaluate-rl`` for stage ``evaluate``, label ``rl``."""
    return f"{stage}-{label.replace(' ', '-')}" if label else stage


FINAL_STATUS = "final_status"
"""The parameter of an exit task that KFP fills with how the run ended."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one task of the stage needs; ``gpu`` stages take count and selector from a profile."""

    cpu: str
    memory: str
    gpu: bool = False


class Journal(Protocol):
    """Progress of one stage run, kept across kills; see ``refine_af.storage.journal``."""

    def read(self, name: str) -> bytes | None:
        """Return what was published under ``name``, or None."""

    def publish(self, name: str, data: bytes) -> None:
        """Store ``data`` under ``name`` in one atomic step; a kill leaves all of it or nothing."""

    def read_directory(self, name: str, target: Path) -> bool:
        """Fill ``target`` with the directory published under ``name``; False when none is."""

    def publish_directory(self, name: str, source: Path) -> None:
        """Store a directory under ``name`` in one atomic step."""

    def names(self, prefix: str = "") -> list[str]:
        """Return the published names with that prefix, sorted."""

    def discard(self, name: str) -> None:
        """Remove what was published under ``name``; does nothing if there is none."""


class Progress(Protocol):
    """How a stage reports its progress."""

    def step(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Report ``done`` of ``total`` units, and numbers worth watching."""

    def resumed(self, done: int, unit: str) -> None:
        """Report what an earlier run had done; it counts for no rate."""

    def say(self, message: str) -> None:
        """Report one plain sentence."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the runner hands to a stage: where to read, where to write, how to report.

    Attributes:
        inputs: Local path of each input that is present.
        outputs: Local path that each output must be written to; published only when the stage
            returns, all together.
        journal: Kept under the stage's ``work_dir``; in memory only when there is none.
        progress: Reports to people.
        scratch: An empty local directory for the stage's own use, removed afterwards.
        telemetry: Numbers and words that vary from run to run (seconds, rates, tokens, engine
            versions); they land in the ``telemetry`` artifact and nowhere else.
        engine: A text engine (:class:`refine_af.engines.text.TextEngine`) of the caller's, which
            answers instead of the one that the parameters name; None opens that one.
    """

    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    journal: Journal
    progress: Progress
    scratch: Path
    telemetry: dict[str, Any] = field(default_factory=dict)
    engine: Any = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline.

    Attributes:
        name: Snake case, unique.
        summary: One line: what comes out.
        params: The parameters' type.
        run: Does the work; imports heavy libraries inside.
        inputs: What it reads.
        outputs: What it writes besides ``metrics`` and ``telemetry``, which every stage has.
        image: The dependency base of its container image.
        resources: CPU, memory and whether it wants a GPU.
        source: Where the step comes from (paper, section) and how it differs.
        cache: Whether KFP may reuse an earlier result.
        records: Whether its metrics, provenance and telemetry are artifacts of a run.
    """

    name: str
    summary: str
    params: type[Params]
    run: Callable[[Any, Task], Metrics]
    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    image: Image
    resources: Resources
    source: str
    cache: bool = True
    records: bool = True

    @property
    def taken(self) -> tuple[Artifact, ...]:
        """Return what a task of a pipeline reads."""
        ends = not self.records or any(item.kind == "records" for item in self.inputs)
        return self.inputs if ends else (*self.inputs, BEFORE)

    @property
    def written(self) -> tuple[Artifact, ...]:
        """Return what a task of a pipeline leaves."""
        return (*self.outputs, RECORDS) if self.records else self.outputs

    @property
    def recorded(self) -> tuple[str, ...]:
        """Return what the records of a task hold of it for the report."""
        return ("provenance", *(item.name for item in self.outputs if item.shown))

    @property
    def command(self) -> str:
        """Return the stage's name on the command line."""
        return self.name.replace("_", "-")
