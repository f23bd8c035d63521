"""The inputs of the report of an evolution run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Evolved, Instance, OperatorStep, Prediction, Rejected, Seed


@dataclass(frozen=True, slots=True)
class EvolutionArm:
    """One arm; every part may be empty.

    Attributes:
        trace: Every operation tried.
        kept: Instructions after the near-duplicate filter.
        duplicates: What that filter dropped.
        ledger: Calls of ``evolve_instructions``.
        answering: Calls of ``generate_responses``.
        unanswered: Answers that were dropped.
        instances: Scored rows.
        trained_rows: Rows that fine-tuning used.
        predictions: Scored answers to the evaluation tasks.
        settings: What must be equal between arms.
        privacy: Result of ``audit_privacy``.
    """

    trace: Sequence[OperatorStep] = ()
    kept: Sequence[Evolved] = ()
    duplicates: Sequence[Rejected] = ()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    answering: Mapping[str, Any] = field(default_factory=dict)
    unanswered: Sequence[Rejected] = ()
    instances: Sequence[Instance] = ()
    trained_rows: int = 0
    predictions: Sequence[Prediction] = ()
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvolutionInputs:
    """Everything that the report shows; ``start`` is the untuned model among the arms.

    Attributes:
        arms: By name.
        seeds: Seed tasks.
        policy_trace: Every operation of the policy's training, tests and one-step table.
        curve: Numbers per update and test of the training.
        table: The one-step table.
        policy_ledger: Calls of the training.
        manifest: What the run read.
        tasks: Names of the folders of the run's tasks, in the order of the pipeline.
        seed: Of bootstrap and samples.
        resamples: Of the bootstrap.
    """

    arms: Mapping[str, EvolutionArm]
    seeds: Sequence[Seed] = ()
    policy_trace: Sequence[OperatorStep] = ()
    curve: Sequence[Mapping[str, Any]] = ()
    table: Mapping[str, Any] = field(default_factory=dict)
    policy_ledger: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    seed: int = 1
    resamples: int = 2000
