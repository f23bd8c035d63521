"""The optional last task of every pipeline: the model of an arm is handed over."""

from collections.abc import Mapping

from refine_af.contracts.errors import ParameterError
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.tasks import Flow, Outputs

STAGE = "register_model"


def add_registration(
    flow: Flow,
    config: RunConfig,
    tuned: Mapping[str, Outputs],
    evaluated: Mapping[str, Outputs],
    reported: Outputs,
) -> None:
    """Register the model of an arm, where the configuration has values of the stage.

    Args:
        flow: What the task is added to.
        config: Its ``register_model.arm`` is registered; without it, the first arm.
        tuned: Outputs of train_sft by arm.
        evaluated: Outputs of evaluate by arm, whose records hold the arm's lineage.
        reported: Outputs of the report.

    Raises:
        ParameterError: For an arm that the run does not have.
    """
    if STAGE not in config.stages:
        return
    arm = str(config.stages[STAGE].get("arm", next(iter(tuned))))
    if arm not in tuned:
        raise ParameterError(f"{STAGE}.arm is {arm!r}; the run tunes {', '.join(tuned)}")
    inputs = {name: tuned[arm][name] for name in ("adapter", "merged")}
    inputs |= {"lineage": evaluated[arm]["records"], "result": reported["result"]}
    flow.add(STAGE, inputs=inputs, params={"arm": arm})
