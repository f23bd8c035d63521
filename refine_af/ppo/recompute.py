"""Gradient checkpointing: layers keep their input and compute the rest again in the backward pass.

transformers' own switch needs training mode; a policy stays in evaluation mode, because dropout
would make the acting and the trained policy differ.

Source: Chen et al. 2016 (arXiv 1604.06174).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


class Recomputation:
    """The switch of gradient checkpointing for the layers of one model; off at first.

    Attributes:
        on: Whether forward passes with gradient keep the layers' inputs only. The gradient is the
            same: the same operations run again, on the same numbers.
        layers: How many layers it reaches.
    """

    def __init__(self, model: nn.Module) -> None:
        """Prepare the layers of ``model``, in place."""
        self.on = False
        layers = [
            layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)
        ]
        self.layers = len(layers)
        for layer in layers:
            layer.forward = partial(self._run, layer.forward)

    def _run(self, forward: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        if not (self.on and torch.is_grad_enabled()):
            return forward(*arguments, **named)
        return checkpoint(
            forward, *arguments, use_reentrant=False, preserve_rng_state=False, **named
        )
