"""Adds tasks of stages to a KFP pipeline: parameters, placement, retries, names, reuse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp import dsl

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.stage import Stage
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.form import Form
from refine_af.pipelines.placing import place_task
from refine_af.pipelines.tasks import Outputs, given_values, task_name
from refine_af.runner import find_stage
from refine_af.targets.kfp_component import kfp_component
from refine_af.targets.kfp_source import KFP_TYPES, image_name
from refine_af.targets.placement import place
from refine_af.targets.profile import Profile

RETRIED_FOR = "30d"
"""Counted from the start of a task's first attempt; when it is over, KFP's engine tries no more and
ends what runs. KFP's default of an hour would leave a task that lost its node after two."""


@dataclass(frozen=True)
class Images:
    """Which image each task runs in.

    Attributes:
        registry: Put before the image's name.
        tag: Used where no digest is known.
        digests: ``sha256:...`` by stage. Only digests make KFP's cache safe, because its key
            holds the image's name and not its content.
    """

    registry: str = ""
    tag: str = "latest"
    digests: Mapping[str, str] = field(default_factory=dict)

    def reference(self, stage: Stage) -> str:
        """Return the image of a stage, by digest where one is known."""
        if stage.name in self.digests:
            plain = image_name(stage, self.registry, "").rstrip(":")
            return f"{plain}@{self.digests[stage.name]}"
        return image_name(stage, self.registry, self.tag)


@dataclass(frozen=True)
class Selection:
    """Which tasks run, and where the outputs of the others come from.

    Attributes:
        reuse: ``{task: {output: URI or value}}`` of an earlier run.
        only: Task names to run; None runs all that are not reused.
    """

    reuse: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    only: frozenset[str] | None = None

    def runs(self, task: str) -> bool:
        """Return whether the task is part of this run."""
        return task not in self.reuse if self.only is None else task in self.only


class Earlier:
    """An artifact of an earlier run. It becomes a task (an importer) only if a task reads it."""

    def __init__(self, uri: str, kind: Any) -> None:  # noqa: ANN401  kfp's classes are untyped
        self._uri = uri
        self._kind = kind
        self._output: Any = None

    def imported(self) -> Any:  # noqa: ANN401  a KFP channel
        """Return the artifact as an input of a task."""
        if self._output is None:
            importer = dsl.importer(artifact_uri=self._uri, artifact_class=self._kind)
            self._output = importer.output
        return self._output


class Flow:
    """Builds one pipeline. ``values`` are the fields of its form, by name."""

    def __init__(
        self,
        config: RunConfig,
        profile: Profile,
        images: Images,
        selection: Selection,
        values: Mapping[str, Any],
        form: Form,
    ) -> None:
        self._config = config
        self._profile = profile
        self._images = images
        self._selection = selection
        self._values = values
        self._form = form

    def add(
        self,
        stage_name: str,
        label: str = "",
        *,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Outputs:
        """Add one task and return its outputs; a reused task gives its earlier artifacts.

        Args:
            stage_name: A stage of the registry.
            label: The arm or shard; part of the task's name.
            inputs: Outputs of earlier tasks by input name; None values are left out.
            params: Values that this task alone gets; they win over the configuration.
        """
        stage = find_stage(stage_name)
        name = task_name(stage_name, label)
        if not self._selection.runs(name):
            return self._earlier(stage, name)
        given = {
            key: value.imported() if isinstance(value, Earlier) else value
            for key, value in (inputs or {}).items()
            if value is not None
        }
        _check_complete(stage, name, given, params or {})
        task = kfp_component(stage)(
            **given,
            **self._parameters(stage, params or {}),
            work_dir=self._values["work_dir"],
            label=label,
        )
        return dict(self._settle(task, stage, name).outputs)

    def exit_task(self, notice: Mapping[str, str]) -> Any:  # noqa: ANN401  a KFP task
        """Add the exit task, which runs when all others have ended, in whatever state."""
        stage = find_stage("notify")
        named = {
            "run": dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        }
        return self._settle(kfp_component(stage)(**notice, **named), stage, stage.name)

    def _settle(self, task: Any, stage: Stage, name: str) -> Any:  # noqa: ANN401  a KFP task
        """Set a task's name, image, placement, secrets and retries."""
        task.set_display_name(name)
        task.set_container_image(self._images.reference(stage))
        task.set_caching_options(stage.cache and stage.name in self._images.digests)
        place_task(task, place(stage, self._profile), self._profile)
        if self._profile.retries:
            task.set_retry(self._profile.retries, "30s", 2, backoff_max_duration=RETRIED_FOR)
        return task

    def _parameters(self, stage: Stage, own: Mapping[str, Any]) -> dict[str, Any]:
        own = {**own, **self._form.given(stage.name, self._values)}
        given = given_values(self._config, stage, self._values) | own
        fields = stage.params.model_fields
        constants = self._config.stages.get(stage.name, {}).keys() - own.keys()
        # KFP refuses an int literal for a float input
        typed = {
            name: stage.params.check_value(name, given[name], where=stage.name)
            for name in constants
        }
        return {name: (given | typed)[name] for name in fields if name in given}

    def _earlier(self, stage: Stage, name: str) -> Outputs:
        uris = self._selection.reuse.get(name, {})
        outputs: dict[str, Any] = {}
        for item in stage.written:
            if item.name not in uris:
                continue
            if item.kind == "parameter":
                outputs[item.name] = uris[item.name]
                continue
            kind = getattr(dsl, KFP_TYPES[item.kind].removeprefix("dsl."))
            outputs[item.name] = Earlier(uris[item.name], kind)
        return outputs


def _check_complete(
    stage: Stage, name: str, inputs: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Refuse to reuse a task whose artifacts are missing from the earlier run."""
    lacking = [item.name for item in stage.inputs if not item.optional and item.name not in inputs]
    lacking += [key for key, value in params.items() if value is None]
    if lacking:
        raise ParameterError(
            f"{name} needs {', '.join(lacking)}, which the earlier run does not have; run it from"
            " an earlier task"
        )


def check_task(name: str, known: list[str]) -> str:
    """Return a task's name, also found by its stage alone where only one task has it."""
    if name in known:
        return name
    matches = [item for item in known if item.split(" ")[0] == name]
    if len(matches) == 1:
        return matches[0]
    hint = f" it runs as {', '.join(matches)}" if matches else nearest(name, known)
    raise ParameterError(f"{name!r} is not one task of this run;{hint} tasks: {', '.join(known)}")
