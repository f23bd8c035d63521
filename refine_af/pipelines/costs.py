"""The tables of docs/costs-and-gpus.md, derived from the estimates."""

from refine_af.pipelines.config import RunConfig, load_config, preset_names
from refine_af.pipelines.estimate import GPUS, Estimate, estimates
from refine_af.targets.profile import load_profile, profile_names

BEGIN, END = "<!-- derived: estimates -->\n", "<!-- end of derived -->\n"
DETAILED = ("llama2-7b", "llama2-13b", "mistral-7b")
TITLES = {"l4": "L4 24 GB", "a100-40": "A100 40 GB", "a100": "A100 80 GB", "h100": "H100 80 GB"}


def costs_page(text: str) -> str:
    """Return the page with a new derived part; the text around it stays."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + _pairs() + "\n" + _stages() + END + after


def _presets() -> list[tuple[str, RunConfig]]:
    configs = [(name, load_config(name, "")) for name in preset_names()]
    return [(name, config) for name, config in configs if config.backbone is not None]


def _pairs() -> str:
    """Return one row per preset: what its largest task needs, and what each GPU makes of it.

    A column names the profiles with that GPU: all of them have one, so a cell holds for each.
    """
    head = [f"{TITLES[kind]} ({', '.join(names)})" for kind, names in profiles_by_gpu().items()]
    lines = ["| preset | most GiB | " + " | ".join(head) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(GPUS))
    for name, config in _presets():
        by_gpu = {kind: estimates(config, kind) for kind in GPUS}
        most = max(by_gpu["h100"], key=lambda estimate: estimate.memory_gib)
        cells = [_pair(by_gpu[kind]) for kind in GPUS]
        lines.append(
            f"| {name} | {most.memory_gib:.0f} ({most.task}) | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def profiles_by_gpu() -> dict[str, list[str]]:
    """Return the packaged profiles of each kind of GPU that estimates know, one GPU a task."""
    profiles = [load_profile(name) for name in profile_names()]
    return {
        kind: [item.name for item in profiles if item.gpu_kind == kind and item.gpus == 1]
        for kind in GPUS
    }


def _pair(estimated: list[Estimate]) -> str:
    misfits = [estimate.task for estimate in estimated if estimate.hours is None]
    if not misfits:
        return f"{sum(estimate.hours or 0 for estimate in estimated):.0f} h"
    stages = sorted({task.split(" ")[0] for task in misfits})
    return "refused: " + ", ".join(stages)


def _stages() -> str:
    """Return one row per preset and stage of the paper's backbones; an arm counts for all."""
    head = " | ".join(f"{TITLES[kind]}, h" for kind in GPUS)
    lines = [f"| preset | stage | GiB | {head} |", "| --- | --- | --- |" + " --- |" * len(GPUS)]
    for name in DETAILED:
        config = load_config(name, "")
        by_gpu = {
            kind: {estimate.task: estimate for estimate in estimates(config, kind)} for kind in GPUS
        }
        for task, estimate in by_gpu["h100"].items():
            stage, _, arm = task.partition(" ")
            if arm in ("", "(rl)"):
                hours = [by_gpu[kind][task].hours for kind in GPUS]
                cells = ["does not fit" if hour is None else f"{hour:.1f}" for hour in hours]
                lines.append(
                    f"| {name} | {stage} | {estimate.memory_gib:.0f} | " + " | ".join(cells) + " |"
                )
    return "\n".join(lines) + "\n"
