"""The tasks of a run with the parameters that each will get, worked out without KFP.

Plans, checks and KFP's pipeline (:mod:`refine_af.pipelines.flow`) read the same declaration: a
pipeline's module adds its tasks to anything that has ``add``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from refine_af.contracts.content import Content
from refine_af.contracts.groups import group_of
from refine_af.contracts.params import Params, Scalar, declared
from refine_af.contracts.stage import BEFORE, RECORDS, Stage
from refine_af.pipelines.config import DEFAULTS, MODULES, RunConfig
from refine_af.runner import find_stage

_COMMIT = re.compile(r"@[0-9a-f]{40}$")

Outputs = Mapping[str, Any]
"""Outputs of a task by name: what a later task takes as input or parameter."""


class Flow(Protocol):
    """Collects the tasks of a pipeline."""

    def add(
        self,
        stage_name: str,
        label: str = "",
        *,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        before: Outputs | None = None,
    ) -> Outputs:
        """Add one task and return its outputs.

        Args:
            stage_name: A stage of the registry.
            label: The arm or shard; part of the task's name.
            inputs: Outputs of earlier tasks by input name; None values are left out.
            params: Values that this task alone gets; they win over the configuration.
            before: Outputs of the task whose records this one's continue.
        """


@dataclass(frozen=True, slots=True)
class Later:
    """An output that is known when the run has made it."""

    task: str
    name: str


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One task.

    Attributes:
        stage: What runs.
        label: The arm or shard, or an empty string.
        params: Its parameters, checked; one that an earlier task sets has its default.
        own: Values that the pipeline gives this task alone.
        given: Names of the parameters that the configuration or the pipeline gives the task.
        later: The parameters that earlier tasks set.
        inputs: The inputs that it gets, those of its records included.
        group: The box of a cluster's graph that it is drawn in (:mod:`refine_af.contracts.groups`).
    """

    stage: Stage
    label: str
    params: Params
    own: Mapping[str, Any]
    given: frozenset[str]
    later: Mapping[str, Later]
    inputs: Mapping[str, Later]
    group: str = ""

    @property
    def name(self) -> str:
        """Return the name for people: the stage, and the arm or shard where it has one."""
        return task_name(self.stage.name, self.label)

    @property
    def constants(self) -> dict[str, Scalar]:
        """Return the parameters that are given and known before the run, in their types."""
        names = [name for name in self.stage.params.model_fields if name in self.given]
        return {name: getattr(self.params, name) for name in names}

    @property
    def unpinned(self) -> list[str]:
        """Return the parameters whose content may change while their values stay the same.

        What travels with the package, or is code of the image, cannot; nor can what a commit names
        or an earlier task has given the digest of. An endpoint is known by its name and address.
        """
        return [item.parameter for item in self.params.content() if not self._is_pinned(item)]

    def _is_pinned(self, content: Content) -> bool:
        digest = declared(type(self.params).model_fields[content.parameter])["digest"]
        in_image = content.kind == "code" or (
            content.kind == "harness" and not content.value.endswith((".yaml", ".yml"))
        )
        return (
            digest in self.later
            or content.kind in ("endpoint", "served_model")
            or content.value.startswith("builtin:")
            or in_image
            or (content.kind == "model" and _COMMIT.search(content.value) is not None)
        )


@dataclass(slots=True)
class _Plan:
    config: RunConfig
    tasks: list[PlannedTask] = field(default_factory=list)

    def add(
        self,
        stage_name: str,
        label: str = "",
        *,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        before: Outputs | None = None,
    ) -> Outputs:
        stage = find_stage(stage_name)
        later = {key: value for key, value in (params or {}).items() if isinstance(value, Later)}
        own = {key: value for key, value in (params or {}).items() if key not in later}
        present = {name: given for name, given in (inputs or {}).items() if given is not None}
        shared = DEFAULTS | self.config.parameters
        values = given_values(self.config, stage, shared) | own
        checked = stage.params.parse(values, where=stage_name)
        checked.check_inputs(list(present), where=stage_name)
        given = frozenset(self.config.stages.get(stage_name, {}).keys() | own)
        chain = {BEFORE.name: before[RECORDS.name]} if before else {}
        group = group_of(stage_name, label, evolves=self.config.pipeline == "teams-rl")
        task = PlannedTask(stage, label, checked, own, given, later, present | chain, group)
        self.tasks.append(task)
        return {item.name: Later(task.name, item.name) for item in stage.written}


def planned(config: RunConfig) -> list[PlannedTask]:
    """Return the tasks in an order in which they can run, every parameter checked.

    Raises:
        ParameterError: For the first value that is wrong, or the first rule that is broken; also
            of a stage that is configured and does not run.
    """
    for name, values in config.stages.items():  # each where it was given, before it is handed on
        for parameter, value in values.items():
            find_stage(name).params.check_value(parameter, value, where=name)
    plan = _Plan(config)
    import_module(MODULES[config.pipeline]).tasks(plan, config)
    running = {task.stage.name for task in plan.tasks}
    for name in config.stages.keys() - running:
        stage = find_stage(name)
        stage.params.parse(given_values(config, stage, config.parameters), where=name)
    return plan.tasks


def given_values(config: RunConfig, stage: Stage, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configuration gives every task of a stage, over the pipeline's parameters."""
    given = {name: value for name, value in shared.items() if name in stage.params.model_fields}
    return given | config.stages.get(stage.name, {})


def task_name(stage: str, label: str) -> str:
    """Return the name of a task for people: the stage, and the arm or shard where it has one."""
    return f"{stage} ({label})" if label else stage
