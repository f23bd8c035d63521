"""A run's configuration: a preset or the user's own file, and what the command line changes."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from refine_af.contracts.credentials import refuse_credentials
from refine_af.contracts.errors import ParameterError, allowed_names, nearest
from refine_af.contracts.params import listed, scalar_type, shown
from refine_af.engines.chat import chat_word
from refine_af.pipelines.backbones import Backbone, known_shape
from refine_af.self_instruct.params import FORM
from refine_af.stages import STAGES

MOST_VALUES = 100_000
MOST_SIZES = 4
DEFAULT_PRESET = "quickstart"
PRESET_FOLDER = Path(__file__).parent / "presets"
Arm = Literal[
    "rl",
    "baseline",
    "best_of_n",
    "baseline_b",
    "learned",
    "uniform",
    "fixed_mix",
    "released_mix",
    "llm",
    "no_evolution",
]
ARMS: dict[str, tuple[str, ...]] = {
    "refine-af": ("rl", "baseline", "best_of_n", "baseline_b"),
    "teams-rl": ("learned", "uniform", "fixed_mix", "released_mix", "llm", "no_evolution"),
}
"""The arms of each pipeline."""
Value = str | int | float | bool
ASK_FOR_INSTANCES = ("train_ppo", "generate_instances")

REWARD_NAMES = (
    "reward",
    "reward_drop",
    "reward_extra",
    "reward_model",
    "unieval",
    "language_model",
    "judge",
    "judge_engine",
    "judge_url",
)
"""Parameters of ``score_rewards`` that ``check_inputs`` finds the scorers' models by."""

PIPELINE_PARAMETERS: dict[str, str] = {
    "seeds_uri": "Seed tasks: builtin:seeds, a path, gs://, s3://, https:// or hf://.",
    "model": "Start model: builtin:tiny, a Hub id (org/name@revision), a path, gs:// or s3://.",
    "engine": "Text engine: vllm, transformers, openai or scripted.",
    "chat": "Ask through the model's chat template: auto (where it has one), yes or no.",
    "tasks_uri": "Evaluation tasks in the Natural-Instructions shape: builtin:tasks or a URI.",
    "work_dir": "Folder or URI of the journals; retried and repeated tasks continue from there.",
    "seed": "Seed of all randomness.",
}
"""What a run is asked for in the KFP form, in this order; every stage that has the name gets it."""

DEFAULTS: dict[str, Any] = {
    "seeds_uri": "builtin:seeds",
    "model": "builtin:tiny",
    "engine": "transformers",
    "chat": "auto",
    "tasks_uri": "builtin:tasks",
    "work_dir": "",
    "seed": 1,
}
"""Defaults of the pipeline's parameters."""

MODULES = {"refine-af": "refine_af.pipelines.refine_af", "teams-rl": "refine_af.pipelines.teams_rl"}
"""Module of each pipeline's tasks."""


class RunConfig(BaseModel):
    """One run.

    Attributes:
        pipeline: Which DAG; ``ARMS`` names the arms of each.
        summary: One line for people.
        arms: Trained arms; the untuned start model is always evaluated beside them. ``baseline_b``
            repeats the baseline with other draws (A/A), so that noise is seen as noise.
        best_of_n: Instances per instruction of which the arm ``best_of_n`` keeps the best.
        sizes: Numbers of rows; ``rl`` and ``baseline`` are also trained on the first so many rows
            (nested subsets), for curves over data size.
        shards: Parallel ``generate_instructions`` tasks, each with its own random stream.
        backbone: For estimates of memory and hours, where the model is not known by its name: a
            known model of the same size, or the sizes.
        parameters: Values of the pipeline's parameters, by name.
        stages: Parameters of single stages, ``{stage: {parameter: value}}``; they win over
            ``parameters``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: Literal["refine-af", "teams-rl"] = "refine-af"
    summary: str = ""
    arms: tuple[Arm, ...] = ("rl", "baseline")
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()
    shards: Annotated[int, Field(ge=1, le=8)] = 1
    best_of_n: Annotated[int, Field(ge=2, le=64)] = 4
    backbone: Backbone | str | None = None
    parameters: dict[str, Value] = Field(default_factory=dict)
    stages: dict[str, dict[str, Value]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _chat_is_a_word(cls, data: Any) -> Any:  # noqa: ANN401  what a file holds
        """Restore ``yes`` and ``no`` of ``chat``, which YAML reads as truth values."""
        if isinstance(data, dict):
            stages = data.get("stages")
            values = [
                data.get("parameters"),
                *(stages.values() if isinstance(stages, dict) else ()),
            ]
            for named in values:
                if isinstance(named, dict) and "chat" in named:
                    named["chat"] = chat_word(named["chat"])
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, value in self.parameters.items():
            _known(name, list(PIPELINE_PARAMETERS), "parameters")
            refuse_credentials(name, value)
        for stage, values in self.stages.items():
            _known(stage, [item.name for item in STAGES], "stages")
            fields = next(item.params.model_fields for item in STAGES if item.name == stage)
            for name, value in values.items():
                _known(name, list(fields), f"stages.{stage}")
                refuse_credentials(f"{stage}.{name}", value)
        for arm in self.arms:
            if arm not in ARMS[self.pipeline]:
                raise ParameterError(
                    f"arms: unknown arm {arm!r} of the pipeline {self.pipeline};"
                    f" arms: {', '.join(ARMS[self.pipeline])}"
                )
        if len(set(self.arms)) != len(self.arms):
            raise ParameterError(f"arms: {list(self.arms)} names an arm twice")
        self.instance_form()
        if isinstance(self.backbone, str):
            known_shape(self.backbone)
        if "baseline_b" in self.arms and "baseline" not in self.arms:
            raise ParameterError("arms: baseline_b repeats the baseline; name baseline too")
        if list(self.sizes) != sorted(set(self.sizes)) or len(self.sizes) > MOST_SIZES:
            raise ParameterError(
                f"sizes: {list(self.sizes)}; give at most {MOST_SIZES} different numbers of rows,"
                " rising"
            )
        return self

    def with_values(self, assignments: tuple[str, ...]) -> "RunConfig":
        """Return the configuration with ``stage.param=value`` or ``param=value`` applied.

        Raises:
            ParameterError: Naming the key, the allowed ones and the nearest match.
        """
        data = self.model_dump()
        keys = {text.partition("=")[0].strip() for text in assignments}
        if "model" in keys:
            data["backbone"] = None  # it was that of the earlier model
        for text in assignments:
            key, equals, raw = text.partition("=")
            if not equals:
                raise ParameterError(f"--set {text!r}: write it as stage.param=value")
            stage, dot, name = key.strip().partition(".")
            if dot:
                data["stages"].setdefault(stage, {})[name] = _typed(stage, name, raw)
            elif stage in ("arms", "sizes"):
                data[stage] = listed(raw)
            elif stage in ("shards", "backbone"):
                data[stage] = raw
            else:
                data["parameters"][stage] = raw if stage != "seed" else _yaml_scalar(raw)
        return parse(data, "--set")

    @property
    def engines(self) -> set[str]:
        """Return the text engines that the run's tasks use."""
        named = [self.parameters, *self.stages.values()]
        return {str(values["engine"]) for values in named if "engine" in values}

    def instance_form(self) -> dict[str, Value]:
        """Return the values of :data:`FORM` that hold for both stages that ask for instances.

        A model that PPO trained on one form must not be asked in another.

        Raises:
            ParameterError: When the two stages are given different ones.
        """
        form: dict[str, Value] = {}
        for name in FORM:
            given: dict[str, Value] = {}
            for stage in (item for item in STAGES if item.name in ASK_FOR_INSTANCES):
                unset = stage.params.model_fields[name].default
                value = self.stages.get(stage.name, {}).get(name, unset)
                if value != unset:
                    given[f"stages.{stage.name}.{name}"] = value
            if len(set(given.values())) > 1:
                shown = ", ".join(f"{key} is {value!r}" for key, value in given.items())
                raise ParameterError(f"{shown}; set one of them, both stages ask in that form")
            if given:
                form[name] = next(iter(given.values()))
        return form


def _typed(stage: str, name: str, raw: str) -> Value:
    """Return what ``--set`` gives: literally for a text, read as YAML for a number or a flag."""
    params = next((item.params for item in STAGES if item.name == stage), None)
    field = params.model_fields.get(name) if params else None
    if field is None or scalar_type(field.annotation) is str:
        return raw
    return _yaml_scalar(raw)


def _yaml_scalar(raw: str) -> Value:
    """Return a number or flag as YAML reads it; anything else stays text, which is then refused.

    YAML 1.1 takes ``010`` for 8 and ``1:30`` for 90; those stay text, which Python reads as 10 and
    refuses.
    """
    if re.fullmatch(r"\s*[+-]?(?:0[0-9_]+|[0-9_.]+(?::[0-9_.]+)+)\s*", raw):
        return raw
    try:
        value = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: an endless integer
        return raw
    return value if isinstance(value, int | float | bool) else raw


def _known(name: str, allowed: list[str], where: str) -> None:
    if name not in allowed:
        raise ParameterError(f"{where}.{name} does not exist;{allowed_names(name, allowed)}")


def parse(data: Any, where: str) -> RunConfig:  # noqa: ANN401  what a YAML file may hold
    """Return checked configuration; ``where`` names the file or option in messages."""
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ParameterError(f"{where}: {field}: {_placed(field)}") from None
        allowed = first["msg"].replace("Input should be", "it must be", 1)
        raise ParameterError(f"{where}: {field} is {shown(first['input'])}; {allowed}") from None


def _placed(key: str) -> str:
    """Return a hint where a misplaced key belongs."""
    top = [*RunConfig.model_fields, "base"]
    if key in [stage.name for stage in STAGES]:
        return f"parameters of a stage stand one level down:\nstages:\n  {key}:\n    NAME: VALUE"
    if key in PIPELINE_PARAMETERS:
        return f"it stands one level down:\nparameters:\n  {key}: VALUE"
    owners = [stage.name for stage in STAGES if key in stage.params.model_fields]
    owners = [name for name in owners if name != "check_inputs"] or owners  # it only repeats them
    if owners:
        return (
            f"it is a parameter of {', '.join(owners)}:\nstages:\n  {owners[0]}:\n    {key}: VALUE"
        )
    return f"there is no such key;{nearest(key, top)} keys: {', '.join(top)}"


def load_config(preset: str, config: str) -> RunConfig:
    """Return a preset by name, or the file at ``config`` laid over it or over its own ``base``.

    Raises:
        ParameterError: For an unknown preset or key, or a file that is not YAML.
    """
    base = base_preset(preset, config)
    values = _read_preset(_preset_name(base))
    if not config:
        return parse(values, f"preset {preset}")
    own = {key: value for key, value in _read(Path(config)).items() if key != "base"}
    return parse(_laid_over(values, own), config)


def base_preset(preset: str, config: str) -> str:
    """Return the preset that a configuration is laid over: the file's ``base``, or ``preset``.

    Raises:
        ParameterError: Both are given and differ, or there is no such file.
    """
    if not config:
        return preset
    if not Path(config).is_file():
        raise ParameterError(f"--config {config}: no such file")
    base = str(_read(Path(config)).get("base", preset))
    if preset not in (base, DEFAULT_PRESET):
        raise ParameterError(f"{config}: base is {base!r}, --preset {preset!r}; give one of them")
    return base


def _read_preset(name: str) -> dict[str, Any]:
    """Return a preset's values, laid over those of the preset that it names as ``base``."""
    own = _read(PRESET_FOLDER / f"{name}.yaml")
    base = own.pop("base", "")
    return _laid_over(_read_preset(base), own) if base else own


def _laid_over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    for section in ("parameters", "stages"):
        given = own.get(section, {})
        if isinstance(given, dict):  # a value that is not an object is refused by name later
            own[section] = _merge(base.get(section, {}), given)
    return base | own


def preset_names() -> list[str]:
    """Return the packaged presets, sorted."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.yaml"))


def _preset_name(preset: str) -> str:
    known = preset_names()
    if preset not in known:
        raise ParameterError(
            f"unknown preset {preset!r};{nearest(preset, known)} choose from: {', '.join(known)}"
        )
    return preset


def _read(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if _expanded(value, {}) > MOST_VALUES:
        raise ParameterError(
            f"{path}: with its aliases written out it holds more than {MOST_VALUES} values"
        )
    if not isinstance(value, dict):
        raise ParameterError(f"{path}: it must hold keys and values, found {type(value).__name__}")
    return value


def _expanded(value: object, seen: dict[int, int]) -> int:
    """Return the number of values with every alias written out; aliases may nest to billions."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in seen:
        seen[id(value)] = MOST_VALUES  # an alias of itself never ends
        items = value.values() if isinstance(value, dict) else value
        seen[id(value)] = 1 + sum(_expanded(item, seen) for item in items)
    return seen[id(value)]


def _merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merged[key] | value if both else value
    return merged
