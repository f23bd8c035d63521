"""What a run would do: ``refine-af run --dry-run``."""

from pathlib import Path

from refine_af.engines.chat import uses_chat
from refine_af.pipelines.bounds import model_calls, resolved
from refine_af.pipelines.build import DEFAULTS
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.estimate import GPUS, estimates, summary_line
from refine_af.pipelines.execute import pipeline_tasks
from refine_af.runner import find_stage


def dry_run_text(config: RunConfig, folder: Path) -> str:
    """Return the DAG, the parameters and the bound on model calls, for people."""
    calls = model_calls(config)
    lines = [
        f"output: {folder}",
        f"arms: {', '.join(config.arms)}; start model beside them",
        _chat_line(config),
        "",
    ]
    for name in pipeline_tasks(config):
        stage = find_stage(name.split(" ")[0])
        lines.append(f"{name}: {stage.summary}")
        if name in calls:
            requests, tokens = calls[name]
            lines.append(f"    at most {requests:,} model calls, {tokens:,} new tokens")
        values = resolved(config, stage)
        lines.append("    " + ", ".join(f"{key}={value}" for key, value in values.items()))
    total = sum(tokens for _, tokens in calls.values())
    lines += ["", f"estimate: at most {total:,} new tokens before evaluation"]
    lines += _hours(config)
    lines += [f"in all {line}" for profile in GPUS if (line := summary_line(config, profile))]
    return "\n".join(lines)


def _chat_line(config: RunConfig) -> str:
    """Return whether the run asks through the model's chat template, as far as can be told now."""
    shared = DEFAULTS | config.parameters
    chat, model, engine = (str(shared[name]) for name in ("chat", "model", "engine"))
    if chat != "auto":
        return f"chat: {chat}"
    known = model.startswith("builtin:") or Path(model).is_dir()
    if not known and engine in ("transformers", "vllm"):
        return "chat: auto: yes where the model, once it is fetched, has a chat template"
    return f"chat: auto: {'yes' if uses_chat('auto', model, engine) else 'no'}"


def _hours(config: RunConfig) -> list[str]:
    lines: list[str] = []
    for profile in GPUS:
        for one in estimates(config, profile):
            time = "too large" if one.hours is None else f"{one.hours:7.2f} h"
            numbers = f"{one.memory_gib:6.1f} GiB  {time:9}"
            lines.append(f"estimate, not measured: {profile:5} {numbers}  {one.task}")
    return lines
