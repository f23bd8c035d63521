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

    def __init__(
        self, keys: list[Tensor], values: list[Tensor], rows: Sequence[Sequence[int]]
    ) -> None:
        """Join the keys and values of batches at their last column; ``rows`` are their indices."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = max(part.shape[2] for part in keys)
        self.dtype, self.device = keys[0].dtype, keys[0].device
        self.is_initialized = True
        self._keys = _block(keys, rows, self.length)
        self._values = _block(values, rows, self.length)
        self._show()

    def _fill(self, keys: Tensor, values: Tensor) -> None:
        """Hold these keys and values, with spare columns behind the first ``length``."""
        everything = [list(range(keys.shape[0]))]
        self._keys = _block([keys], everything, self.length)
        self._values = _block([values], everything, self.length)
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
            self._fill(_padded(self.keys, end), _padded(self.values, end))
        self._keys[:, :, start:end] = key_states
        self._values[:, :, start:end] = value_states
        self.length = end
        self._show()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Return T."""
        return self.length

    def truncate(self, length: int) -> None:
        """Drop the columns from ``length`` on; the next update overwrites them."""
        self.length = length
        self._show()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep only these rows, in this order (transformers' name for it)."""
        rows = beam_idx.to(self.keys.device)
        self._fill(self.keys[rows], self.values[rows])


def _block(parts: list[Tensor], rows: Sequence[Sequence[int]], length: int) -> Tensor:
    """Return the parts' columns up to ``length``, each at its end, and room for more."""
    _, heads, _, size = parts[0].shape
    block = parts[0].new_empty(sum(map(len, rows)), heads, length + SPARE_COLUMNS, size)
    for part, own in zip(parts, rows, strict=True):
        start = length - part.shape[2]
        index = torch.tensor(own, device=part.device)
        block[index, :, start:length] = part
        if start:
            block[index, :, :start] = 0  # masked, but 0 times what memory held may be NaN
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


def joined(parts: Sequence[Cache], rows: Sequence[Sequence[int]]) -> Cache:
    """Return one growing cache of all parts, which have plain layers only.

    Args:
        parts: Shorter ones stand at the end of the columns of the longest.
        rows: Indices in the result of the rows of each part.
    """
    states = [[_states(layer) for layer in part.layers] for part in parts]
    cache = DynamicCache()
    cache.layers = [
        GrowingLayer([keys for keys, _ in layer], [values for _, values in layer], rows)
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
