"""Bytes that forward passes with gradient keep, by formula and without torch.

Checked against the real modules by ``tests/ppo/test_ppo_memory.py``, and for fine-tuning, whose
adapters have dropout, by ``tests/sft/test_sft_memory.py``.
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


def bytes_of_layer(shape: LayerShape, *, half: bool, dropout: bool = False) -> float:
    """Return what one layer keeps of one token.

    A gated decoder layer with an adapter on each linear layer keeps ten tensors of the hidden size
    (inputs of the products, queries, keys, values and the result of attention), four of the
    intermediate size, and two of the hidden size in float32 (the norms).

    Args:
        shape: Of the model.
        half: Whether products run in a half precision.
        dropout: Whether the adapters have dropout: each keeps its input once more, and a mask
            (fitted: 1.75 bytes besides the input).
    """
    width = 2 if half else 4
    kept = width * (10 * shape.hidden + 4 * shape.intermediate) + 2 * 4 * shape.hidden
    return kept + (width + 1.75) * _adapted(shape) * dropout


def _adapted(shape: LayerShape) -> int:
    """Return the sizes of the inputs of a layer's seven adapters together."""
    return 6 * shape.hidden + shape.intermediate


def kept_bytes(shape: LayerShape, tokens: int, *, half: bool, dropout: bool = False) -> float:
    """Return what all layers keep of ``tokens`` tokens, padding included, without recomputation."""
    return tokens * shape.layers * bytes_of_layer(shape, half=half, dropout=dropout)


def update_bytes(
    shape: LayerShape, tokens: int, *, half: bool, recomputed: bool, dropout: bool = False
) -> float:
    """Return the most that forward and backward pass of ``tokens`` tokens hold at once.

    Weights and their gradients come besides. With recomputation: the input of each layer, what
    one layer keeps, and the gradients inside it, about 3.5 tensors of the intermediate size, with
    dropout also most of one of each adapter's input (fitted to six backbones at full size, within
    4 %, with dropout 5 %).
    """
    width = 2 if half else 4
    inside = 3.5 * width * shape.intermediate + 0.85 * width * _adapted(shape) * dropout
    if not recomputed:
        return kept_bytes(shape, tokens, half=half, dropout=dropout) + tokens * inside
    inputs = width * shape.hidden * shape.layers
    layer = bytes_of_layer(shape, half=half, dropout=dropout)
    return tokens * (inputs + layer + inside)


def is_recomputed(shape: LayerShape, tokens: int, *, half: bool) -> bool:
    """Return whether ``train_ppo`` computes layers twice for passes of ``tokens`` tokens."""
    return kept_bytes(shape, tokens, half=half) > RECOMPUTE_ABOVE
