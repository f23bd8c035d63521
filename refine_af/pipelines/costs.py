"""The tables of docs/costs-and-gpus.md, derived from the estimates."""

from collections.abc import Sequence

from refine_af.pipelines.config import RunConfig, load_config, preset_names
from refine_af.pipelines.devices import GPUS
from refine_af.pipelines.estimate import (
    Estimate,
    estimates,
    estimates_on,
    largest_by_stage,
    needs_line,
)
from refine_af.targets.profile import load_profile, profile_names

BEGIN, END = "<!-- derived: estimates -->\n", "<!-- end of derived -->\n"
DETAILED = ("llama2-7b", "llama2-13b", "mistral-7b")
TITLES = {"l4": "L4 24 GB", "a100-40": "A100 40 GB", "a100": "A100 80 GB", "h100": "H100 80 GB"}
THIS_MACHINE = "local"
"""The profile of ``refine-af run``, which makes no pods."""
TENTHS_BELOW = 9.95
EMBEDDED = "fits"
"""Of a model of the package: it needs less than a GiB."""


def costs_page(text: str) -> str:
    """Return the page with a new derived part; the text around it stays."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + _pairs() + "\n" + _refusals() + "\n" + _stages() + END + after


def profiles_by_column() -> dict[str, list[str]]:
    """Return the packaged profiles by the title of their column: one GPU of a kind, or their own.

    A column's profiles have equal devices, so a cell holds for each of them.
    """
    columns: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    for name in profile_names():
        profile = load_profile(name)
        single = profile.gpu_kind in TITLES and profile.gpus == 1
        if name != THIS_MACHINE:
            columns.setdefault(TITLES[profile.gpu_kind] if single else "", []).append(name)
    without = columns.pop("", [])
    return columns | {
        f"no GPU: {name}" if not load_profile(name).gpus else name: [name] for name in without
    }


def _presets() -> list[tuple[str, RunConfig]]:
    return [(name, load_config(name, "")) for name in preset_names()]


def _pairs() -> str:
    """Return one row per preset, with what its largest task needs and all its hours by GPU."""
    columns = profiles_by_column()
    head = [
        title if names[0] in title else f"{title} ({', '.join(names)})"
        for title, names in columns.items()
    ]
    lines = ["| preset | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(columns)]
    for name, config in _presets():
        cells = [_pair(estimates_on(config, load_profile(names[0]))) for names in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _pair(estimated: Sequence[Estimate]) -> str:
    if not estimated:
        return EMBEDDED
    if not all(estimate.fits for estimate in estimated):
        return "refused"
    most = max(estimate.memory_gib for estimate in estimated)
    hours = [estimate.hours for estimate in estimated]
    if None in hours:
        return f"{most:.0f} GiB"
    total = sum(hour or 0 for hour in hours)
    return f"{most:.0f} GiB, {total:.{0 if total >= TENTHS_BELOW else 1}f} h"


def _refusals() -> str:
    """Return what is refused on each GPU, and the values that make it fit; equal ones together."""
    refused: dict[tuple[str, str], list[str]] = {}
    for kind, device in GPUS.items():
        for name, config in _presets():
            misfits = [item for item in estimates(config, device) if not item.fits]
            told = "; ".join(needs_line(item, cured=True) for item in largest_by_stage(misfits))
            if told:
                refused.setdefault((kind, told), []).append(name)
    lines = ["| GPU | presets | refused because |", "| --- | --- | --- |"]
    lines += [
        f"| {TITLES[kind]} | {', '.join(names)} | {told} |"
        for (kind, told), names in refused.items()
    ]
    return "\n".join(lines) + "\n"


def _stages() -> str:
    """Return one row per preset and stage of the paper's backbones; an arm counts for all."""
    head = " | ".join(f"{TITLES[kind]}, h" for kind in GPUS)
    lines = [f"| preset | stage | GiB | {head} |", "| --- | --- | --- |" + " --- |" * len(GPUS)]
    for name in DETAILED:
        config = load_config(name, "")
        by_gpu = [
            {item.task: item for item in estimates(config, device)} for device in GPUS.values()
        ]
        for estimate in largest_by_stage(list(by_gpu[-1].values())):
            found = [estimated[estimate.task] for estimated in by_gpu]
            cells = [f"{item.hours:.1f}" if item.hours else "does not fit" for item in found]
            stage = estimate.task.partition(" ")[0]
            lines.append(
                f"| {name} | {stage} | {estimate.memory_gib:.0f} | " + " | ".join(cells) + " |"
            )
    return "\n".join(lines) + "\n"
