"""Builds the pipeline of a configuration; the pipeline's module adds its tasks."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kfp import dsl

from refine_af.pipelines.config import MODULES, RunConfig
from refine_af.pipelines.flow import WORK_DIR, Flow, Images, Selection
from refine_af.pipelines.form import DESCRIPTIONS, Form, form_of
from refine_af.pipelines.tasks import planned
from refine_af.targets.profile import Profile


def build(
    config: RunConfig,
    profile: Profile,
    images: Images | None = None,
    selection: Selection | None = None,
    *,
    notice: Mapping[str, str] | None = None,
    grouped: bool = True,
) -> Any:  # noqa: ANN401  kfp's graph component is untyped
    """Return the KFP pipeline of a configuration under a hardware profile.

    Args:
        config: What runs.
        profile: Where it runs.
        images: Registry, tag and digests.
        selection: Which part runs on whose artifacts; None: all of it.
        notice: What the exit task tells of the pipeline, by its parameter; None: no exit task.
        grouped: Whether the tasks of a group are drawn as one box; all on one level otherwise.
    """
    module = import_module(MODULES[config.pipeline])
    form = form_of(config)
    flow = Flow(
        planned(config),
        form,
        profile,
        images or Images(),
        selection or Selection(),
        grouped=grouped,
    )

    def pipeline(*channels: Any) -> None:  # noqa: ANN401  kfp gives one for each field
        values = dict(zip(form.defaults, channels, strict=True))
        if notice is None:
            flow.add(values)
            return
        with dsl.ExitHandler(flow.exit_task(notice, values[WORK_DIR]), name="run"):
            flow.add(values)

    pipeline.__signature__ = _signature(form)  # type: ignore[attr-defined]
    pipeline.__doc__ = "\n".join(f"{name}: {DESCRIPTIONS[name]}" for name in form.defaults)
    return dsl.pipeline(
        pipeline,
        name=config.pipeline,
        description=module.DESCRIPTION.format(arms=", ".join(config.arms)),
        pipeline_config=dsl.PipelineConfig(
            active_deadline_seconds=profile.run_deadline_seconds or None
        ),
    )


def _signature(form: Form) -> inspect.Signature:
    """Return the signature from which kfp reads a pipeline's parameters."""
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter(name, keyword, default=value, annotation=type(value))
            for name, value in form.defaults.items()
        ]
    )
