"""Token rows of unequal length as one batch, padded at the left only."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Episodes as tensors. Each row is padding, prompt, action; the action ends in column T - 1.

    Attributes:
        tokens: [B, T] int64; 0 at padding, where the model must not look.
        real: [B, T] bool; true at prompt and action.
        action: [B, A] bool; true at the action's tokens, over the last A columns.
    """

    tokens: Tensor
    real: Tensor
    action: Tensor

    @property
    def taken(self) -> Tensor:
        """Return the tokens of the last A columns, [B, A]; those before the action are noise."""
        return self.tokens[:, -self.action.shape[1] :]

    @property
    def positions(self) -> Tensor:
        """Return position ids [B, T]: 0 at the first real token, whatever padding is before it."""
        return (self.real.long().cumsum(1) - 1).clamp(min=0)


def pad(
    prompts: Sequence[Sequence[int]],
    actions: Sequence[Sequence[int]],
    device: torch.device | str = "cpu",
    *,
    extra: int = 0,
) -> Batch:
    """Return the batch of B prompts with their actions; T and A are those of the longest row.

    Args:
        prompts: Token ids, at least one each: the first action token is predicted from the last.
        actions: Token ids, at least one each.
        device: Where the tensors go.
        extra: Columns of padding beyond the longest row; it changes no result.
    """
    lengths = [len(prompt) + len(action) for prompt, action in zip(prompts, actions, strict=True)]
    width, most = max(lengths) + extra, max(map(len, actions))
    tokens = torch.zeros(len(prompts), width, dtype=torch.int64)
    real = torch.zeros(len(prompts), width, dtype=torch.bool)
    action = torch.zeros(len(prompts), most, dtype=torch.bool)
    for row, (prompt, taken) in enumerate(zip(prompts, actions, strict=True)):
        tokens[row, width - lengths[row] :] = torch.tensor([*prompt, *taken])
        real[row, width - lengths[row] :] = True
        action[row, most - len(taken) :] = True
    return Batch(tokens.to(device), real.to(device), action.to(device))


def right_aligned(rows: Sequence[Tensor]) -> Tensor:
    """Return rows [A_i] as [B, A], each at the right end, 0 before it."""
    most = max(len(row) for row in rows)
    return torch.stack([torch.nn.functional.pad(row, (most - len(row), 0)) for row in rows])
