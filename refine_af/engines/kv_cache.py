"""The attention cache of a batch: it grows in place and lets finished rows go.

transformers' own ``DynamicLayer`` joins old and new keys with ``torch.cat``, which copies the
whole cache once per layer and token. Here a layer keeps spare columns and copies only when they
run out. Shapes: B rows, H key-value heads, T columns (padding included), D head size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SPARE_COLUMNS = 128
"""Columns added when a layer is full: one copy per this many tokens instead of one per token."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, views of a larger block."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        """Join the keys and values of batches that have the same T, in the order of their rows."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = keys[0].shape[2]
        self.dtype, self.device = keys[0].dtype, keys[0].device
        self.is_initialized = True
        self._fill(keys, values)

    def _fill(self, keys: list[Tensor], values: list[Tensor]) -> None:
        self._keys = _block(keys, self.length + SPARE_COLUMNS)
        self._values = _block(values, self.length + SPARE_COLUMNS)
        self._show()

    def _show(self) -> None:
        self.keys = self._keys[:, :, : self.length]
        self.values = self._values[:, :, : self.length]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append columns, shape (B, H, new, D), and return all keys and values."""
        start, end = self.length, self.length + key_states.shape[2]
        if end > self._keys.shape[2]:
            self.length = end
            self._fill([_padded(self.keys, end)], [_padded(self.values, end)])
        self._keys[:, :, start:end] = key_states
        self._values[:, :, start:end] = value_states
        self.length = end
        self._show()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return T."""
        return self.length

    def truncate(self, length: int) -> None:
        """Forget the columns from ``length`` on; they are overwritten by the next update."""
        self.length = length
        self._show()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep only these rows, in this order (transformers' name for it)."""
        rows = beam_idx.to(self.keys.device)
        self._fill([self.keys[rows]], [self.values[rows]])


def _block(parts: list[Tensor], columns: int) -> Tensor:
    _, heads, length, size = parts[0].shape
    rows = sum(part.shape[0] for part in parts)
    block = parts[0].new_empty(rows, heads, columns, size)
    start = 0
    for part in parts:
        block[start : start + part.shape[0], :, :length] = part
        start += part.shape[0]
    return block


def _padded(tensor: Tensor, columns: int) -> Tensor:
    wider = tensor.new_empty(*tensor.shape[:2], columns, tensor.shape[3])
    wider[:, :, : tensor.shape[2]] = tensor
    return wider


def can_grow(config: "PreTrainedConfig", longest: int) -> bool:
    """Return whether every layer attends to all of ``longest`` columns.

    That is so for plain layers, and for windows that are not reached; not for recurrent states.
    """
    return all(
        type(layer) is DynamicLayer
        or (type(layer) is DynamicSlidingWindowLayer and longest <= layer.sliding_window)
        for layer in DynamicCache(config=config).layers
    )


def repeated(cache: Cache, rows: int) -> Cache:
    """Return a cache of plain layers in which one row stands ``rows`` times."""
    many = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = _states(layer)
        many.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return many


def joined(parts: Sequence[Cache]) -> Cache:
    """Return one growing cache for the rows of all parts; each part has plain layers only."""
    states = [[_states(layer) for layer in part.layers] for part in parts]
    cache = DynamicCache()
    cache.layers = [
        GrowingLayer([keys for keys, _ in layer], [values for _, values in layer])
        for layer in zip(*states, strict=True)
    ]
    return cache


def _states(layer: object) -> tuple[Tensor, Tensor]:
    assert isinstance(layer, DynamicLayer)  # noqa: S101  what can_grow has found
    assert layer.keys is not None  # noqa: S101
    assert layer.values is not None  # noqa: S101
    return layer.keys, layer.values


def select_rows(cache: Cache, rows: list[int]) -> None:
    """Keep only these rows of the batch, in this order."""
    cache.reorder_cache(torch.LongTensor(rows))


def truncate(cache: Cache, length: int) -> None:
    """Forget the columns from ``length`` on, in a cache of growing layers."""
    for layer in cache.layers:
        assert isinstance(layer, GrowingLayer)  # noqa: S101  the caller asked can_grow
        layer.truncate(length)
