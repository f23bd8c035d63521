"""The pipeline that a configuration names; its module says which tasks it has."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kfp import dsl

from refine_af.pipelines.config import DEFAULTS, MODULES, PIPELINE_PARAMETERS, RunConfig
from refine_af.pipelines.flow import Flow, Images, Selection
from refine_af.targets.profile import Profile


def build(
    config: RunConfig,
    profile: Profile,
    images: Images | None = None,
    selection: Selection | None = None,
    *,
    notice: Mapping[str, str] | None = None,
) -> Any:  # noqa: ANN401  kfp's graph component is untyped
    """Return the KFP pipeline of a configuration under a hardware profile.

    Args:
        config: What runs.
        profile: Where it runs.
        images: Registry, tag and digests.
        selection: Which part runs on whose artifacts; None: all of it.
        notice: What the exit task tells of the pipeline, by its parameter; None: no exit task.
    """
    module = import_module(MODULES[config.pipeline])
    default = DEFAULTS | config.parameters

    @dsl.pipeline(
        name=config.pipeline,
        description=module.DESCRIPTION.format(arms=", ".join(config.arms)),
        pipeline_config=dsl.PipelineConfig(
            active_deadline_seconds=profile.run_deadline_seconds or None
        ),
    )
    def pipeline(
        seeds_uri: str = default["seeds_uri"],
        model: str = default["model"],
        engine: str = default["engine"],
        chat: str = default["chat"],
        tasks_uri: str = default["tasks_uri"],
        work_dir: str = default["work_dir"],
        seed: int = default["seed"],
    ) -> None:
        values = {
            "seeds_uri": seeds_uri,
            "model": model,
            "engine": engine,
            "chat": chat,
            "tasks_uri": tasks_uri,
            "work_dir": work_dir,
            "seed": seed,
        }
        flow = Flow(config, profile, images or Images(), selection or Selection(), values)
        if notice is None:
            module.tasks(flow, config)
            return
        with dsl.ExitHandler(flow.exit_task(notice), name="run"):
            module.tasks(flow, config)

    pipeline.__doc__ = "\n".join(f"{name}: {text}" for name, text in PIPELINE_PARAMETERS.items())
    return pipeline
