"""Fully sharded data parallelism: each process keeps a part of every weight (torch's FSDP 2).

For models whose weights do not fit one GPU beside the activations. Layers are gathered one at a
time for forward and backward passes; gradients are summed and split as they appear. Acting writes
token by token, so the weights are gathered once for a whole rollout.

Source: Zhao et al. 2023 (arXiv 2304.11277); ``torch.distributed.fsdp.fully_shard``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from refine_af.contracts.errors import ParameterError
from refine_af.ppo.checkpoint import digest_start_weights
from refine_af.ppo.policy import Policy
from refine_af.processes.group import Processes


def shard(policy: Policy, processes: Processes) -> None:
    """Split the weights of the language model, and of the frozen copy, over the processes.

    The value head stays whole: it has H + 1 weights.

    Raises:
        ParameterError: With one process, or a model whose layers transformers does not name.
    """
    if processes.count == 1:
        raise ParameterError("sharded splits weights over processes, and there is one; set more")
    policy.start_digest = digest_start_weights(policy)
    for model in (policy.model, policy.reference):
        if model is not None:
            _shard(model)
    policy.value_head.to(policy.device)  # the split moved the rest to this process's GPU
    policy.sharded = True


def _shard(model: nn.Module) -> None:
    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = [layer for layer in model.modules() if type(layer).__name__ in names]
    if not layers:
        raise ParameterError(
            f"{type(model).__name__} names no layers to split at (_no_split_modules); train it"
            " without sharded"
        )
    for module in (*layers, model):
        fully_shard(module)


@contextmanager
def gathered(policy: Policy) -> Iterator[None]:
    """Keep all weights whole in here; nothing happens to a policy that is not sharded."""
    parts = [module for module in policy.model.modules() if isinstance(module, FSDPModule)]
    for module in parts:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in parts:
            module.reshard()
            # The root keeps its own (embedding, norm, output layer) until the backward pass: the
            # policy asks the output layer for logits after the forward pass.
            module.set_reshard_after_forward(id(module) != id(policy.model), recurse=False)
