"""Which function builds which pipeline; a preset names it by its key ``pipeline``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pipelines.config import RunConfig
from pipelines.flow import Images, Selection
from refine_af.targets.placement import Profile

MODULES = {"refine-af": "pipelines.refine_af", "teams-rl": "pipelines.teams_rl"}


def build(
    config: RunConfig,
    profile: Profile,
    images: Images | None = None,
    selection: Selection | None = None,
    *,
    notify: bool = False,
) -> Any:  # noqa: ANN401  kfp is untyped
    """Return the KFP pipeline that the configuration names; see ``pipelines.refine_af.build``."""
    made: Callable[..., Any] = import_module(MODULES[config.pipeline]).build
    return made(config, profile, images, selection, notify=notify)
