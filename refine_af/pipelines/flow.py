"""Adds planned tasks to a KFP pipeline: parameters, placement, retries, names, reuse, groups."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kfp import dsl

from refine_af.contracts.errors import ParameterError, nearest
from refine_af.contracts.stage import RECORDS, Stage
from refine_af.pipelines.form import Form
from refine_af.pipelines.placing import place_task
from refine_af.pipelines.tasks import Later, PlannedTask
from refine_af.runner import find_stage
from refine_af.targets.kfp_component import kfp_component
from refine_af.targets.kfp_source import KFP_TYPES, image_name
from refine_af.targets.placement import place
from refine_af.targets.profile import Profile
from refine_af.targets.train_job import launcher

RETRIED_FOR = "30d"
"""Counted from the start of a task's first attempt; when it is over, KFP's engine tries no more and
ends what runs. KFP's default of an hour would leave a task that lost its node after two."""

WORK_DIR = "work_dir"
RUN = "run"
"""The report's input that stands for the records which an earlier run does not have."""


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
        root: Path or URI of that run.
    """

    reuse: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    only: frozenset[str] | None = None
    root: str = ""

    def runs(self, task: str) -> bool:
        """Return whether the task is part of this run."""
        return task not in self.reuse if self.only is None else task in self.only


class _Level:
    """One level of the graph: what stands for outputs of tasks and fields of the form on it."""

    def __init__(self, values: Mapping[str, Any], outputs: Mapping[Later, Any]) -> None:
        self.values = values
        self.outputs = dict(outputs)
        self._imported: dict[str, Any] = {}

    def imported(self, uri: str, kind: str) -> Any:  # noqa: ANN401  a KFP channel
        """Return an artifact of an earlier run: one importer a level, where it is read."""
        if uri not in self._imported:
            importer = dsl.importer(artifact_uri=uri, artifact_class=_kfp_type(kind))
            self._imported[uri] = importer.output
        return self._imported[uri]


@dataclass(frozen=True)
class _Group:
    """A part of the pipeline as a pipeline of its own, which the UI opens with a click.

    Attributes:
        component: Of kfp.
        title: What people see.
        fields: Fields of the form that its tasks take.
        taken: Outputs of tasks outside that it reads.
        left: Outputs of its tasks that others read.
    """

    component: Any
    title: str
    fields: Sequence[str]
    taken: Sequence[Later]
    left: Sequence[Later]


class Flow:
    """Adds the tasks of one pipeline, those of a group as a pipeline of their own in it.

    It is made before kfp's pipeline is, whose groups have to be there first.
    """

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        form: Form,
        profile: Profile,
        images: Images,
        selection: Selection,
        *,
        grouped: bool,
    ) -> None:
        self._tasks = [task for task in tasks if selection.runs(task.name)]
        self._stages = {task.name: task.stage for task in tasks}
        self._form = form
        self._profile = profile
        self._images = images
        self._selection = selection
        self._groups: dict[str, _Group] = {}
        if grouped:
            self._make_groups(self._tasks, "")

    def add(self, values: Mapping[str, Any]) -> None:
        """Add all tasks; ``values`` are the fields of the form, by name."""
        level = _Level(values, {})
        if self._groups:
            self._add_level(self._tasks, "", level)
        else:
            for task in self._tasks:
                self._add_task(task, level)

    def _make_groups(self, tasks: Sequence[PlannedTask], path: str) -> None:
        for group, members in boxes(tasks, path):
            if group != path:
                self._make_groups(members, group)
                self._groups[group] = self._group(members, group)

    def _group(self, tasks: Sequence[PlannedTask], path: str) -> _Group:
        names = {task.name for task in tasks}
        others = [task for task in self._tasks if task.name not in names]
        running = {task.name for task in others}
        taken = [item for item in _read(tasks) if item.task in running]
        left = [item for item in _read(others) if item.task in names]
        fields = [name for name in self._form.defaults if self._uses(name, tasks)]
        types = {_port(item): self._type(item) for item in left}
        returned: Any = NamedTuple("returned", types.items())  # type: ignore[misc]

        def pipeline(*channels: Any) -> Any:  # noqa: ANN401  kfp gives one for each argument
            given, crossing = channels[: len(fields)], channels[len(fields) :]
            values = dict(zip(fields, given, strict=True))
            level = _Level(values, dict(zip(taken, crossing, strict=True)))
            self._add_level(tasks, path, level)
            return returned(*(level.outputs[item] for item in left)) if left else None

        arguments = {name: type(self._form.defaults[name]) for name in fields}
        arguments |= {_port(item): self._type(item) for item in taken}
        pipeline.__signature__ = _signature(arguments, returned if left else None)  # type: ignore[attr-defined]
        title = path.rpartition("/")[2]
        component = dsl.pipeline(pipeline, name=title.replace(":", "").replace(" ", "-").lower())
        return _Group(component, title, fields, taken, left)

    def _add_level(self, tasks: Sequence[PlannedTask], path: str, level: _Level) -> None:
        for group, members in boxes(tasks, path):
            if group == path:
                self._add_task(members[0], level)
            else:
                self._add_group(self._groups[group], level)

    def _add_group(self, group: _Group, level: _Level) -> None:
        given = {name: level.values[name] for name in group.fields}
        given |= {_port(item): level.outputs[item] for item in group.taken}
        added = group.component(**given)
        added.set_display_name(group.title)
        level.outputs |= {item: added.outputs[_port(item)] for item in group.left}

    def _uses(self, name: str, tasks: Sequence[PlannedTask]) -> bool:
        """Return whether a task of these takes a field of the form."""
        stages = {task.stage.name for task in tasks}
        targets = {of for (of, _), field in self._form.targets.items() if field == name}
        shared = any(name in task.stage.params.model_fields for task in tasks)
        return name == WORK_DIR or shared or bool(stages & targets)

    def _type(self, item: Later) -> Any:  # noqa: ANN401  kfp's classes are untyped
        (kind,) = (one.kind for one in self._stages[item.task].written if one.name == item.name)
        return str if kind == "parameter" else _kfp_type(kind)

    def _add_task(self, task: PlannedTask, level: _Level) -> None:
        inputs = {name: self._input(item, level) for name, item in task.inputs.items()}
        if RUN in {item.name for item in task.stage.inputs} and self._lacks_records():
            inputs[RUN] = level.imported(self._selection.root, "records")
        inputs = {name: value for name, value in inputs.items() if value is not None}
        later = {name: self._parameter(item, level) for name, item in task.later.items()}
        _check_complete(task, inputs, later)
        fields = task.stage.params.model_fields
        shared = {name: value for name, value in level.values.items() if name in fields}
        given = shared | task.constants | later | self._form.given(task.stage.name, level.values)
        added = kfp_component(task.stage)(
            **inputs,
            **{name: given[name] for name in fields if name in given},
            work_dir=level.values[WORK_DIR],
            label=task.label,
        )
        self._settle(added, task.stage, task.name, getattr(task.params, "nodes", 1))
        if task.unpinned:  # KFP's key has the values alone, and would give what it made before
            added.set_caching_options(False)
        for name, channel in added.outputs.items():
            level.outputs[Later(task.name, name)] = channel

    def _input(self, item: Later, level: _Level) -> Any:  # noqa: ANN401  a KFP channel or None
        if item in level.outputs:
            return level.outputs[item]
        uri = self._selection.reuse.get(item.task, {}).get(item.name)
        kinds = {one.name: one.kind for one in self._stages[item.task].written}
        return level.imported(uri, kinds[item.name]) if uri else None

    def _parameter(self, item: Later, level: _Level) -> Any:  # noqa: ANN401  a channel, text or None
        earlier = self._selection.reuse.get(item.task, {})
        return level.outputs.get(item, earlier.get(item.name))

    def _lacks_records(self) -> bool:
        """Return whether a part of the report is to be read from the earlier run as a whole."""
        reused = self._selection.reuse.values()
        return any(RECORDS.name not in outputs for outputs in reused)

    def exit_task(self, notice: Mapping[str, str], work_dir: Any) -> Any:  # noqa: ANN401  of kfp
        """Add the exit task, which runs when all others have ended, in whatever state.

        Args:
            notice: What it tells of the pipeline.
            work_dir: The form's value, where the tasks leave how they ended.
        """
        stage = find_stage("notify")
        named = {
            "run": dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            "endings_dir": work_dir,
        }
        return self._settle(kfp_component(stage)(**notice, **named), stage, stage.name)

    def _settle(self, task: Any, stage: Stage, name: str, nodes: int = 1) -> Any:  # noqa: ANN401
        """Set a task's name, image, placement, secrets and retries."""
        image = self._images.reference(stage)
        task.set_display_name(name)
        task.set_container_image(image)
        task.set_caching_options(stage.cache and stage.name in self._images.digests)
        place_task(
            task,
            launcher(stage, self._profile, image) if nodes > 1 else place(stage, self._profile),
            self._profile,
        )
        if self._profile.retries:
            task.set_retry(self._profile.retries, "30s", 2, backoff_max_duration=RETRIED_FOR)
        return task


def boxes(tasks: Sequence[PlannedTask], path: str) -> list[tuple[str, Sequence[PlannedTask]]]:
    """Return the boxes of one level, in order: ``path`` and a task, or a group's path and tasks."""
    start = f"{path}/" if path else ""
    members: dict[tuple[str, str], list[PlannedTask]] = {}
    for task in tasks:
        if task.group == path:
            members[path, task.name] = [task]
        else:
            group = start + task.group.removeprefix(start).partition("/")[0]
            members.setdefault((group, ""), []).append(task)
    return [(group, items) for (group, _), items in members.items()]


def _read(tasks: Sequence[PlannedTask]) -> list[Later]:
    """Return what these tasks read of other tasks, each once, in order."""
    read = (item for task in tasks for item in (*task.inputs.values(), *task.later.values()))
    return list(dict.fromkeys(read))


def _port(item: Later) -> str:
    """Return the name of an input or output of a group, such as ``score_rewards_rl_scored``."""
    words = f"{item.task} {item.name}".replace("(", "").replace(")", "")
    return words.replace(" ", "_")


def _kfp_type(kind: str) -> Any:  # noqa: ANN401  kfp's classes are untyped
    return getattr(dsl, KFP_TYPES[kind].removeprefix("dsl."))


def _signature(arguments: Mapping[str, Any], returned: Any) -> inspect.Signature:  # noqa: ANN401
    """Return what kfp reads a group's inputs and outputs from."""
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(k, keyword, annotation=v) for k, v in arguments.items()]
    return inspect.Signature(parameters, return_annotation=returned)


def _check_complete(
    task: PlannedTask, inputs: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Refuse a task of which an earlier run did not keep what it needs."""
    lacking = [
        item.name for item in task.stage.inputs if not item.optional and item.name not in inputs
    ]
    lacking += [key for key, value in params.items() if value is None]
    if lacking:
        raise ParameterError(
            f"{task.name} needs {', '.join(lacking)}, which the earlier run does not have; run it"
            " from an earlier task"
        )


def check_task(name: str, known: list[str]) -> str:
    """Return a task's name, also found by its stage alone where only one task has it."""
    if name in known:
        return name
    matches = [item for item in known if item.split(" ")[0] == name]
    if len(matches) == 1:
        return matches[0]
    hint = f" it runs as {', '.join(matches)}" if matches else nearest(name, known)
    raise ParameterError(f"{name!r} is not a task of this run;{hint} tasks: {', '.join(known)}")
