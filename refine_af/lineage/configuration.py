"""A run's configuration: from ``run.json``, or reconstructed from its tasks' provenance."""

from typing import Any

from refine_af.lineage.run import Run, RunTask

PIPELINE_PARAMETERS = ("seeds_uri", "model", "engine", "chat", "tasks_uri", "seed")
"""Parameters with one value for all stages of a run."""
GIVEN_BY_THE_PIPELINE = ("arms", "shard", "replicate", "rows", "sizes")
"""Parameters that differ between the tasks of a stage, or name what an earlier task found."""
DESCRIPTIVE = ("summary", "backbone")
"""Fields of a configuration that do not affect a run."""
EVOLVING = ("evolve_instructions", "train_operator_policy")


def configuration(run: Run) -> dict[str, Any]:
    """Return the configuration of a run, in the form of a ``--config`` file.

    Without ``run.json`` it comes from the tasks' provenance: every parameter that decides rows is
    there, and those that only change speed have their defaults.
    """
    config: dict[str, Any] = run.spec.get("config", {})
    return config or _from_tasks(run)


def _from_tasks(run: Run) -> dict[str, Any]:
    tasks = [task for task in run.tasks if task.params]
    if not tasks:
        return {}
    shared = {name: _common(tasks, name) for name in PIPELINE_PARAMETERS}
    parameters = {name: value for name, value in shared.items() if value is not None}
    stages: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(task.stage.name for task in tasks):
        own = _stage_parameters(run.of(name), parameters)
        if own:
            stages[name] = own
    config: dict[str, Any] = {
        "pipeline": "teams-rl" if run.of(*EVOLVING) else "refine-af",
        "arms": run.manifest.get("arms", []),
        "shards": max(1, len(run.of("generate_instructions"))),
        "parameters": parameters,
        "stages": stages,
    }
    sizes = {task.params.get("rows") or 0 for task in run.of("train_sft")} - {0}
    if sizes:
        config["sizes"] = sorted(sizes)
    return config | _best_of_n(run)


def _common(tasks: list[RunTask], name: str) -> Any:  # noqa: ANN401  a parameter's value
    """Return the value that most tasks have for a parameter; None where none has it."""
    values = [task.params[name] for task in tasks if name in task.params]
    return max(values, key=values.count) if values else None


def _stage_parameters(tasks: list[RunTask], shared: dict[str, Any]) -> dict[str, Any]:
    """Return what the tasks of a stage agree on and neither the default nor the run gives."""
    fields = tasks[0].stage.params.model_fields
    own = {}
    for name, field in fields.items():
        if name in GIVEN_BY_THE_PIPELINE or name.endswith("_digest"):
            continue
        values = [task.params[name] for task in tasks if name in task.params]
        agreed = bool(values) and all(value == values[0] for value in values)
        usual = shared.get(name, field.default)
        if agreed and values[0] != usual:
            own[name] = values[0]
    return own


def _best_of_n(run: Run) -> dict[str, Any]:
    task = run.task("generate_instances-best_of_n")
    return {"best_of_n": task.params["samples"]} if task and "samples" in task.params else {}


def deciding(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration's leaves by dotted name, without descriptions and folders."""
    kept = {key: value for key, value in config.items() if key not in DESCRIPTIVE}
    kept["parameters"] = {
        name: value for name, value in kept.get("parameters", {}).items() if name != "work_dir"
    }
    return flat(kept)


def flat(value: object, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{name}.{key}" if name else str(key))
    return leaves


def differences(earlier: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return (earlier, now) of each configuration value that differs, None where it is not set."""
    before, after = deciding(earlier), deciding(now)
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
