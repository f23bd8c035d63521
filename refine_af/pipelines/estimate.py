"""GPU memory and hours of each task of a run, estimates before anything is started.

:mod:`refine_af.pipelines.needs` holds the formulas.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.params import Params
from refine_af.contracts.stage import Stage
from refine_af.engines.params import EngineParams
from refine_af.evolve.params import EvolutionParams
from refine_af.feedback.params import RewardParams
from refine_af.pipelines.backbones import Backbone, known_shape, shape_of
from refine_af.pipelines.bounds import model_calls
from refine_af.pipelines.config import DEFAULTS, RunConfig
from refine_af.pipelines.devices import GIB, GPUS, Device
from refine_af.pipelines.needs import PUBLISHED_SCORERS, Work, cures, need, scorer_models
from refine_af.pipelines.tasks import PlannedTask, planned
from refine_af.processes.params import ProcessesParams
from refine_af.stages.evaluate import EvaluateParams
from refine_af.targets.placement import on_gpu, place
from refine_af.targets.profile import Profile, quantity

TEST_TASKS = 119
"""SUPER-NI's English test tasks, each with at least ``instances`` instances."""
HERE = ("transformers", "vllm")
"""Engines that load a model into the task's own device."""
NO_CURE = "no setting of its makes it fit"
NO_MODEL = Backbone(parameters=0, layers=0, hidden=0, intermediate=0, kv_width=0, vocabulary=0)
"""Of a task that loads scorers alone."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One task.

    Attributes:
        task: Stage and arm.
        memory_gib: Of one GPU, GiB.
        limit_gib: What may be planned with, GiB.
        hours: On its GPUs; None where they are too small, or their pace is not known.
        fits: Whether the GPU has the memory.
        cure: The least change that fits, as values for ``--set``; empty where none does, and
            where the task fits as it is.
    """

    task: str
    memory_gib: float
    limit_gib: float
    hours: float | None
    fits: bool
    cure: str = ""


def estimates(config: RunConfig, device: Device, count: int = 1) -> list[Estimate]:
    """Return one estimate per task that loads a model of known size, in the order of the run.

    Args:
        config: Of the run.
        device: One of those that each task has, such as one of :data:`GPUS`.
        count: How many a task has; parameters say how many of them a stage uses.
    """
    return _estimates(config, lambda stage: device, count)


def _estimates(
    config: RunConfig, device_of: Callable[[Stage], Device | None], count: int
) -> list[Estimate]:
    counted = _Counts(config)
    found = []
    for task in counted.tasks:
        device = device_of(task.stage)
        work = counted.work(task, device, count) if device else None
        if work is not None:
            found.append(_estimate(task, work))
    return found


def _estimate(task: PlannedTask, work: Work) -> Estimate:
    found = need(work)
    hours = None if found.seconds is None or not found.fits else found.seconds / 3600
    cure = "" if found.fits else _cure(task, work)
    memory, limit = found.memory / GIB, found.limit / GIB
    return Estimate(task.name, memory, limit, hours, found.fits, cure)


def _cure(task: PlannedTask, work: Work) -> str:
    """Return the first change with which the task fits."""
    for change in cures(work.params, work.devices):
        params = work.params.model_copy(update=change)
        if need(replace(work, params=params)).fits:
            values = " ".join(f"{task.stage.name}.{name}={value}" for name, value in change.items())
            gpus = int(change.get("tensor_parallel_size", 1))
            return values + (f" on a profile with {gpus} GPUs" if gpus > work.devices else "")
    return ""


class _Counts:
    """What each task of a run does, and the sizes of its models."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._main = str((DEFAULTS | config.parameters)["model"])
        self._calls = model_calls(config)
        self.tasks = [task for task in planned(config) if task.stage.resources.gpu]

    def sizes(self, task: PlannedTask) -> dict[str, Backbone | float | None]:
        """Return the shape, or the weights, of each model that a task loads; None: not known."""
        return {model: self._size(model) for model in loaded_models(task.params)}

    def _size(self, model: str) -> Backbone | float | None:
        given = self._config.backbone
        if given is not None and model == self._main:
            return known_shape(given) if isinstance(given, str) else given
        return shape_of(model) or PUBLISHED_SCORERS.get(model.partition("@")[0])

    def work(self, task: PlannedTask, device: Device, count: int) -> Work | None:
        """Return what a task does; None where it loads no model, or one of unknown size."""
        sizes = self.sizes(task)
        if not sizes or None in sizes.values():
            return None
        shapes = {name: size for name, size in sizes.items() if isinstance(size, Backbone)}
        model, reviewer = str(getattr(task.params, "model", "")), _reviewer(task.params)
        calls, tokens = self._amount(task)
        return Work(
            task.params,
            shapes.get(model, NO_MODEL),
            sum(_weights(sizes[name]) for name in _scorers(task.params)),
            shapes.get(reviewer) if reviewer != model else None,
            calls,
            tokens,
            device,
            count,
            "adapter" in task.inputs,
        )

    def _amount(self, task: PlannedTask) -> tuple[int, int]:
        """Return the requests, episodes or rows of a task, and its new tokens."""
        params = task.params
        found = self._calls.get(task.name) or self._calls.get(task.stage.name)
        if found and isinstance(params, EvolutionParams) and params.weight_frontier > 0:
            answers = found[0] // params.calls_of_a_step * params.frontier_samples
            return found[0] + answers, found[1] + answers * params.max_tokens
        if found:
            return found
        if isinstance(params, EvaluateParams):
            answers = TEST_TASKS * params.instances
            return answers, answers * params.max_tokens
        arm = task.label.partition(" ")[0]
        if self._config.pipeline == "teams-rl":
            return self._calls[f"generate_responses ({arm})"]
        calls, tokens = self._calls[f"generate_instances ({arm})"]
        kept = self._config.best_of_n if _is_one_of_n(task) else 1
        return calls // kept, tokens // kept


def _is_one_of_n(task: PlannedTask) -> bool:
    return task.stage.name == "train_sft" and task.label.partition(" ")[0] == "best_of_n"


def _scorers(params: Params) -> list[str]:
    return scorer_models(params) if isinstance(params, RewardParams) else []


def _weights(size: Backbone | float | None) -> float:
    return size.parameters if isinstance(size, Backbone) else size or 0.0


def _reviewer(params: Params) -> str:
    """Return a second model that the task loads itself to judge rewrites."""
    if not isinstance(params, EvolutionParams) or not params.asks_reviewer:
        return ""
    reviewer = params.reviewer_params
    return reviewer.model if reviewer and reviewer.engine in HERE else ""


def loaded_models(params: Params) -> list[str]:
    """Return the models that a task loads into its device, those of the package aside."""
    models = [_reviewer(params), *_scorers(params)]
    if not isinstance(params, EngineParams) or params.engine in HERE:
        models.insert(0, str(getattr(params, "model", "")))
    found = dict.fromkeys(name for name in models if name and not name.startswith("builtin:"))
    return list(found)


def unknown_lines(config: RunConfig) -> list[str]:
    """Return what is not estimated, and how to have it estimated: a line per model."""
    counted = _Counts(config)
    tasks: dict[str, list[str]] = {}
    for task in counted.tasks:
        for model, size in counted.sizes(task).items():
            if size is None:
                tasks.setdefault(model, []).append(task.name)
    return [
        f"size of {model} unknown: memory not checked, hours not estimated ({', '.join(names)});"
        f" {_saying_the_size(model, config)}"
        for model, names in tasks.items()
    ]


def _saying_the_size(model: str, config: RunConfig) -> str:
    if model != str((DEFAULTS | config.parameters)["model"]):
        return "a folder with its files on this machine tells its size"
    return (
        "set backbone to a known model of its size (--set backbone=meta-llama/Llama-2-7b-hf) or to"
        " its sizes in a --config file"
    )


def summary_line(config: RunConfig, kind: str, count: int = 1) -> str:
    """Return most memory and all hours in one line; empty where there is no estimate."""
    estimated = estimates(config, GPUS[kind], count)
    if not estimated:
        return ""
    memory = max(estimated, key=lambda estimate: estimate.memory_gib)
    needs = f"{memory.memory_gib:.0f} GiB ({memory.task})"
    if not all(estimate.fits for estimate in estimated):
        return f"on {kind}: does not fit, {needs} are needed; an estimate, not measured"
    hours = sum(estimate.hours or 0.0 for estimate in estimated)
    return f"on {kind}: at most {ceil(hours)} GPU-hours, {needs}; an estimate, not measured"


def device_of(profile: Profile, stage: Stage) -> Device | None:
    """Return what a stage's task runs on; None where the profile does not say its GPU's memory."""
    if not on_gpu(stage, profile):
        return Device(quantity(place(stage, profile).limits["memory"]), gpu=False)
    known = GPUS.get(profile.gpu_kind)
    memory = profile.gpu_memory_gib * GIB
    if known is not None:
        return replace(known, memory=memory) if memory else known
    return Device(memory) if memory else None


def estimates_on(config: RunConfig, profile: Profile) -> list[Estimate]:
    """Return the estimates of a run's tasks in the pods of a profile."""
    return _estimates(config, lambda stage: device_of(profile, stage), max(1, profile.gpus))


def refuse_misfit(
    config: RunConfig, profile: Profile, chosen: frozenset[str] | None = None
) -> None:
    """Refuse to compile tasks that do not fit the profile's GPUs, or without one its pods.

    Args:
        config: Of the run.
        profile: Where it is to run.
        chosen: The tasks that run; None for all.

    Raises:
        ParameterError: With each stage, what it needs, and what would make it fit.
    """
    _refuse_too_few_gpus(config, profile)
    misfits = [
        estimate
        for estimate in estimates_on(config, profile)
        if not estimate.fits and (chosen is None or estimate.task in chosen)
    ]
    if not misfits:
        return
    if profile.gpus:
        limit = misfits[0].limit_gib
        room = f"gives {limit:.0f} GiB to plan with on each of {profile.gpus} GPUs"
        way = "choose a profile with a larger GPU"
    else:
        room = "has no GPU, and its pods have too little memory"
        way = "choose a profile with GPUs or with larger pods"
    lines = [needs_line(item, cured=profile.gpus > 0) for item in largest_by_stage(misfits)]
    raise ParameterError(
        f"the profile {profile.name} {room}; by estimate {'; '.join(lines)}; or {way}"
    )


def largest_by_stage(estimated: Sequence[Estimate]) -> list[Estimate]:
    """Return the largest task of each stage, in the order of the run."""
    largest: dict[str, Estimate] = {}
    for item in estimated:
        stage = item.task.partition(" ")[0]
        if stage not in largest or item.memory_gib > largest[stage].memory_gib:
            largest[stage] = item
    return list(largest.values())


def needs_line(item: Estimate, *, cured: bool) -> str:
    """Return what a task that does not fit needs, and what would make it fit."""
    stage = item.task.partition(" ")[0]
    if not cured:
        return f"{stage} needs {item.memory_gib:.0f} GiB of {item.limit_gib:.0f}"
    remedy = f"set {item.cure}" if item.cure else NO_CURE
    return f"{stage} needs {item.memory_gib:.0f} GiB ({remedy})"


def _refuse_too_few_gpus(config: RunConfig, profile: Profile) -> None:
    """Refuse a task that would use more GPUs than the profile gives it."""
    for task in planned(config):
        if not on_gpu(task.stage, profile):
            continue
        for name, count in _gpus_used(task.params):
            if count > profile.gpus:
                raise ParameterError(
                    f"{task.stage.name}.{name} is {count}, and the profile {profile.name} gives a"
                    f" task {profile.gpus} GPUs: lower it, or choose a profile with as many"
                )


def _gpus_used(params: Params) -> Iterator[tuple[str, int]]:
    if isinstance(params, EngineParams) and params.engine == "vllm":
        yield "tensor_parallel_size", params.tensor_parallel_size
    if isinstance(params, ProcessesParams):
        yield "processes", params.processes


def unchecked_lines(config: RunConfig, profile: Profile) -> list[str]:
    """Return what :func:`refuse_misfit` could not check."""
    if not profile.gpus or profile.gpu_memory_gib or profile.gpu_kind in GPUS:
        return unknown_lines(config)
    return [
        f"the profile {profile.name} says neither gpu_memory_gib nor a known gpu_kind"
        f" ({', '.join(GPUS)}): whether tasks fit its GPUs is not checked"
    ]
