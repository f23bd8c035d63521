"""The form of a configuration: the pipeline's parameters and the stages' knobs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.contracts.params import Scalar
from refine_af.pipelines.config import DEFAULTS, PIPELINE_PARAMETERS, RunConfig
from refine_af.pipelines.tasks import PlannedTask, given_values, planned
from refine_af.stages.form import KNOBS

DESCRIPTIONS: dict[str, str] = PIPELINE_PARAMETERS | {knob.name: knob.summary for knob in KNOBS}
"""Of every field that a form can have, in its order."""

CHECKED_BY = "check_inputs"


@dataclass(frozen=True)
class Form:
    """The fields of one pipeline's form.

    Attributes:
        defaults: Value of each field, of the field's type, in the order of the form.
        targets: The field that decides a stage's parameter, by ``(stage, parameter)``.
        settings: The knobs that are on the form, and the values of their stages, as JSON:
            check_inputs lays the form's values over these.
    """

    defaults: Mapping[str, Scalar]
    targets: Mapping[tuple[str, str], str]
    settings: str

    def given(self, stage: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the form for a stage's tasks, by parameter.

        Args:
            stage: The stage's name.
            values: What stands for each field.
        """
        params = {name: values[field] for (of, name), field in self.targets.items() if of == stage}
        return params | ({"settings": self.settings} if stage == CHECKED_BY else {})


def form_of(config: RunConfig) -> Form:
    """Return the form of a configuration.

    A knob whose tasks have different values is left out: one field would overrule them.
    """
    tasks: dict[str, list[PlannedTask]] = {}
    for task in planned(config):
        tasks.setdefault(task.stage.name, []).append(task)
    defaults = DEFAULTS | config.parameters
    targets: dict[tuple[str, str], str] = {}
    for knob in KNOBS:
        used = [target for target in knob.targets if target[0] in tasks]
        values = {getattr(task.params, name) for stage, name in used for task in tasks[stage]}
        if len(values) == 1:
            defaults[knob.name] = values.pop()
            targets |= dict.fromkeys((*used, (CHECKED_BY, knob.name)), knob.name)
    settings = {
        "fields": sorted(set(targets.values())),
        "stages": {
            stage: given_values(config, tasks[stage][0].stage, DEFAULTS | config.parameters)
            | dict(tasks[stage][0].own)
            for stage in sorted({stage for stage, _ in targets} - {CHECKED_BY})
        },
    }
    return Form(defaults, targets, json.dumps(settings))
