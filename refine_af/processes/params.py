"""How many processes train one model, and on how many nodes."""

from refine_af.contracts.params import Params, param


class ProcessesParams(Params):
    """The processes of a training stage; they decide the time that it takes, and no row."""

    processes: int = param(
        1, "Processes on each node, one GPU each; 0 takes all GPUs.", method=False, ge=0
    )
    nodes: int = param(
        1,
        "Nodes; above 1 a Kubeflow TrainJob trains on them, and work_dir must be in a bucket.",
        method=False,
        ge=1,
    )

    @property
    def ranks(self) -> int:
        """Return how many processes train; with ``processes`` 0, the fewest that can."""
        return max(self.processes, 1) * self.nodes
