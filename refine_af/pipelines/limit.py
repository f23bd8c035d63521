"""A run on few rows: every parameter that is declared to count rows is lowered."""

from refine_af.contracts.params import declared
from refine_af.pipelines.config import RunConfig
from refine_af.pipelines.tasks import planned


def limited(config: RunConfig, most: int) -> RunConfig:
    """Return the configuration with at most ``most`` of all that its stages count.

    Those are the parameters declared with ``counts_rows``: instructions to reach and requests for
    them, rows that are asked about or trained on, updates, instances of an evaluation task. A
    round counts whole, so a request's instructions may be a few more.

    Raises:
        ParameterError: A stage cannot do with so few.
    """
    stages = {name: dict(values) for name, values in config.stages.items()}
    for task in planned(config):
        for name, field in type(task.params).model_fields.items():
            value = getattr(task.params, name)
            if declared(field)["counts_rows"] and (value == 0 or value > most):
                stages.setdefault(task.stage.name, {})[name] = most
    sizes = tuple(size for size in config.sizes if size < most)
    return config.model_copy(update={"stages": stages, "sizes": sizes})
