"""The inputs and outputs of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.contracts.records import Instance, Instruction, Prediction, Rejected, Seed


@dataclass(frozen=True, slots=True)
class SizePoint:
    """The answers of an arm that was fine-tuned on its first ``rows`` instances."""

    arm: str
    rows: int
    predictions: Sequence[Prediction]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the instruction bootstrap.

    Attributes:
        requested: Prompts sent.
        returned: Completions that came back without an error.
        parsed: Instructions cut out of them.
        kept: Instructions that passed the filters of the round.
        shard: Shard of the bootstrap, from 0.
    """

    requested: int
    returned: int
    parsed: int
    kept: int
    shard: int = 0


@dataclass(frozen=True, slots=True)
class ArmInputs:
    """One arm of the comparison; every part may be empty, its page then says so.

    Attributes:
        instances: Scored instances that the arm may train on.
        rejected: Instances it dropped, of ``generate_instances`` and ``score_rewards``.
        used: Rows of ``train_sft``'s list: ``source``, ``tokens``, ``cut`` and ``reason``.
        sft_history: One row per optimizer step: ``step`` and ``loss``.
        predictions: Scored answers to the evaluation tasks.
        settings: What must be equal in a fair comparison, see ``evaluation.fairness.Arm``. Names
            open with their stage: the untuned ``start`` is compared by ``evaluate.`` ones alone;
            a name that ends with ``seed`` may differ in an A/A comparison.
    """

    instances: Sequence[Instance] = ()
    rejected: Sequence[Rejected] = ()
    used: Sequence[Mapping[str, Any]] = ()
    sft_history: Sequence[Mapping[str, float]] = ()
    predictions: Sequence[Prediction] = ()
    settings: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything that a report shows. Nothing in it may depend on time or place.

    Attributes:
        arms: By name; ``rl`` and ``baseline`` make the answer, ``baseline_b`` (another seed) the
            A/A comparison, ``start`` is the untuned model, ``best_of_n`` the control without RL.
        seeds: Seed tasks.
        instructions: Instructions after all filters.
        rejected: Dropped instructions, of ``generate_instructions`` and ``dedup_filter``.
        rounds: Of the bootstrap, in order.
        ppo_updates: One row of numbers per PPO update, see ``ppo.metrics``.
        ppo_episodes: Episodes: ``update``, ``prompt_id``, ``action``, ``total``, ``parseable``.
        ppo_alarms: Signs of reward hacking, in words.
        ppo_stopped: Why PPO ended early; empty when it did not.
        sizes: Evaluations of models trained on the first rows only, see ``sizes.SizePoint``.
        manifest: Parameters, models and digests; shown whole under provenance.
        tasks: Names of the folders of the run's tasks, in the order of the pipeline.
        seed: Of the bootstrap and of the samples shown.
        resamples: Of the bootstrap.
    """

    arms: Mapping[str, ArmInputs] = field(default_factory=dict)
    seeds: Sequence[Seed] = ()
    instructions: Sequence[Instruction] = ()
    rejected: Sequence[Rejected] = ()
    rounds: Sequence[Round] = ()
    ppo_updates: Sequence[Mapping[str, float]] = ()
    ppo_episodes: Sequence[Mapping[str, Any]] = ()
    ppo_alarms: Sequence[str] = ()
    ppo_stopped: str = ""
    sizes: Sequence[SizePoint] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = ()
    seed: int = 1
    resamples: int = 2000


@dataclass(frozen=True, slots=True)
class Report:
    """The same content three times, and the answer alone.

    Attributes:
        answer: The first sentence of the page.
        html: One self-contained file.
        markdown: For the KFP UI and terminals.
        metrics: Flat numbers with names that depend on the arms alone; a number that is not
            defined (a share of no tasks) is left out.
    """

    answer: str
    html: str
    markdown: str
    metrics: dict[str, float]
