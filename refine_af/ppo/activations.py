"""Bytes that forward passes with gradient keep, by formula and without torch.

Checked against the real modules by ``tests/ppo/test_ppo_memory.py``.
"""

from dataclasses import dataclass

RECOMPUTE_ABOVE = 2.0 * 1024**3
"""Bytes of kept activations of one forward pass above which layers are computed twice. Doing so
takes a third more time for an update and a tenth of the memory (benchmarks/ppo_memory.py);
what fits beside any model that one would train so is not worth the time."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """The sizes of a decoder that its activations depend on."""

    layers: int
    hidden: int
    intermediate: int


def bytes_of_layer(shape: LayerShape, *, half: bool) -> float:
    """Return what one layer keeps of one token.

    A gated decoder layer with an adapter on each linear layer keeps ten tensors of the hidden size
    (inputs of the products, queries, keys, values and the result of attention), four of the
    intermediate size, and two of the hidden size in float32 (the norms).

    Args:
        shape: Of the model.
        half: Whether products run in a half precision.
    """
    width = 2 if half else 4
    return width * (10 * shape.hidden + 4 * shape.intermediate) + 2 * 4 * shape.hidden


def kept_bytes(shape: LayerShape, tokens: int, *, half: bool) -> float:
    """Return what all layers keep of ``tokens`` tokens, padding included, without recomputation."""
    return tokens * shape.layers * bytes_of_layer(shape, half=half)


def update_bytes(shape: LayerShape, tokens: int, *, half: bool, recomputed: bool) -> float:
    """Return the most that forward and backward pass of ``tokens`` tokens hold at once.

    Weights and their gradients come besides. With recomputation: the input of each layer, what
    one layer keeps, and the gradients inside it, about 3.5 tensors of the intermediate size
    (fitted to six backbones at full size, within 4 %).
    """
    width = 2 if half else 4
    inside = 3.5 * width * shape.intermediate
    if not recomputed:
        return kept_bytes(shape, tokens, half=half) + tokens * inside
    inputs = width * shape.hidden * shape.layers
    return tokens * (inputs + bytes_of_layer(shape, half=half) + inside)


def is_recomputed(shape: LayerShape, tokens: int, *, half: bool) -> bool:
    """Return whether ``train_ppo`` computes layers twice for passes of ``tokens`` tokens."""
    return kept_bytes(shape, tokens, half=half) > RECOMPUTE_ABOVE
