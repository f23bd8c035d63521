"""Episodes whose prompts begin alike as one row: the common beginning is read once.

A few-shot prompt is some 670 tokens of worked tasks and 20 of its own, so that eight episodes of
one forward pass read the same text eight times, and so do their gradients. In one row the beginning
stands once, then the rest of every episode; a mask lets each rest see the beginning and itself, and
positions go on from the beginning. Log-probabilities and gradients are those of the padded batch,
up to rounding: the beginning's gradient is the sum over the episodes, as before.

Shapes: B rows, A columns of the action, L tokens of the packed row.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from refine_af.engines.decode import shared_tokens
from refine_af.ppo.padding import Batch

MOST_LEFT = 0.8
"""A packed row holds at most this share of the padded batch's columns; else it is not worth it."""

MASKED = ("sdpa", "eager")
"""Implementations of attention that take a mask of any shape."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch as one row.

    Attributes:
        tokens: [1, L] int64.
        positions: [1, L]: each token's position in its own episode.
        seen: [L, L] bool: whether the token of a row sees that of a column.
        columns: [B * A]: the column before each taken token, whose hidden state predicts it.
    """

    tokens: Tensor
    positions: Tensor
    seen: Tensor
    columns: Tensor

    def mask(self, config: Any, dtype: torch.dtype) -> Any:  # noqa: ANN401  transformers' configuration
        """Return the attention mask of a model: one for all its layers, or one for each kind.

        Args:
            config: Of the model.
            dtype: That its products run in.
        """
        window = getattr(config, "sliding_window", None)
        kinds = set(getattr(config, "layer_types", None) or ())
        masks = {"full_attention": self.seen}
        if window:
            near = self.positions[0][:, None] - self.positions[0][None, :] < window
            masks["sliding_attention"] = self.seen & near
        masks = {kind: _as_read(mask, config, dtype) for kind, mask in masks.items()}
        if len(kinds) > 1:
            return {kind: masks[kind] for kind in kinds}
        single = kinds.pop() if kinds else "sliding_attention" if window else "full_attention"
        return masks[single]


def _as_read(seen: Tensor, config: Any, dtype: torch.dtype) -> Tensor:  # noqa: ANN401
    """Return [1, 1, L, L]: true where seen, or for eager attention what is added to the scores."""
    if config._attn_implementation == "sdpa":
        return seen[None, None]
    hidden = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return hidden.masked_fill(~seen, torch.finfo(dtype).min)[None, None]


def can_pack(config: Any) -> bool:  # noqa: ANN401  transformers' configuration
    """Return whether a model's layers are of a kind whose mask :class:`Packed` can make."""
    kinds = set(getattr(config, "layer_types", None) or ())
    known = kinds <= {"full_attention", "sliding_attention"}
    plain = not getattr(config, "alibi", False) and not getattr(config, "use_alibi", False)
    return known and plain and config._attn_implementation in MASKED


def packed(batch: Batch) -> Packed | None:
    """Return the batch as one row; None where its rows share too little to be worth it."""
    lengths = batch.real.sum(1).tolist()
    rows = [tokens[-length:] for tokens, length in zip(batch.tokens.tolist(), lengths, strict=True)]
    shared = shared_tokens(rows)
    total = shared + sum(lengths) - shared * len(rows)
    if not shared or total > MOST_LEFT * batch.tokens.numel():
        return None
    device = batch.tokens.device
    owner = [-1] * shared + [row for row, n in enumerate(lengths) for _ in range(n - shared)]
    owners = torch.tensor(owner, device=device)
    mine = (owners[:, None] == owners[None, :]) | (owners[None, :] == -1)
    earlier = torch.ones(total, total, dtype=torch.bool, device=device).tril()
    positions = [*range(shared), *(at for n in lengths for at in range(shared, n))]
    return Packed(
        tokens=torch.tensor([rows[0][:shared] + [t for row in rows for t in row[shared:]]]).to(
            device
        ),
        positions=torch.tensor([positions], device=device),
        seen=mine & earlier,
        columns=torch.tensor(_columns(lengths, batch.action.shape[1], shared), device=device),
    )


def _columns(lengths: list[int], count: int, shared: int) -> list[int]:
    """Return the packed column before each of the last ``count`` tokens of every row.

    A row that is shorter than that has columns of no token; the first one stands for them.
    """
    columns, start = [], shared
    for length in lengths:
        for at in range(length - count - 1, length - 1):
            columns.append(start + at - shared if at >= shared else max(at, 0))
        start += length - shared
    return columns
