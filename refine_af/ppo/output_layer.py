"""Log-probabilities and entropies from last hidden states, without all logits in memory.

A batch of 8 x 256 action tokens over 32,000 words is 0.25 GB of float32 logits, over 152,000 words
1.2 GB, and several tensors of that size stand at once. Tokens are taken in chunks here; in
training each chunk's logits are computed again in the backward pass (torch's checkpoint), which
costs a second product with the output layer on action tokens only.

Shapes: B rows, A columns, H hidden size, V words.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from refine_af.contracts.errors import ParameterError
from refine_af.ppo.losses import entropies, log_probabilities

CHUNK_LOGITS = 1 << 26
"""Most logits of one chunk: 256 MiB in float32."""

Logits = Callable[[Tensor], Tensor]
"""Hidden states [..., H] in, logits [..., V] out."""


def token_readings(
    logits: Logits, hidden: Tensor, taken: Tensor, words: int, *, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """Return log p of the taken tokens and, where asked, entropies, each [B, A] float32 or wider.

    Args:
        logits: Of hidden states, in float32 or wider; their memory is overwritten.
        hidden: Last hidden states of the columns that predict ``taken``, [B, A, H].
        taken: Token ids, [B, A].
        words: V.
        entropy: Whether entropies are asked for.
    """

    def read(states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        scores = logits(states)
        spread = entropies(scores) if entropy else None  # first: the next line overwrites scores
        return log_probabilities(scores, tokens), spread

    size = max(1, CHUNK_LOGITS // words)
    if taken.numel() <= size:
        return read(hidden, taken)
    parts = [
        checkpoint(read, states, tokens, use_reentrant=False, preserve_rng_state=False)
        if torch.is_grad_enabled()
        else read(states, tokens)
        for states, tokens in zip(
            torch.split(hidden.flatten(0, 1), size),
            torch.split(taken.flatten(), size),
            strict=True,
        )
    ]
    logprobs, spreads = zip(*parts, strict=True)
    whole = torch.cat(spreads).view_as(taken) if entropy else None
    return torch.cat(logprobs).view_as(taken), whole


@contextmanager
def inputs_kept(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Give what ``layer`` is called with in here, [B, A, H]; it computes the first column only."""
    kept: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        kept.append(arguments[0])
        return (arguments[0][:, :1], *arguments[1:])

    handle = layer.register_forward_pre_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def finished(logits: Tensor, config: Any) -> Tensor:  # noqa: ANN401  transformers' configuration
    """Return what a model of ``config`` makes of its output layer's logits.

    Gemma caps them, Granite divides and Cohere multiplies them.
    """
    if divisor := getattr(config, "logits_scaling", None):
        logits = logits / divisor
    if factor := getattr(config, "logit_scale", None):
        logits = logits * factor
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits


def require_same(own: Tensor, rebuilt: Tensor, kind: str) -> None:
    """Refuse a model whose logits are not what :func:`finished` makes of its output layer.

    Raises:
        ParameterError: With the name of the model's class.
    """
    if not torch.allclose(own, rebuilt, atol=1e-3, rtol=1e-2):
        raise ParameterError(
            f"{kind} changes its logits after the output layer in a way that PPO does not know, so"
            " it cannot be trained here; use another model, or add its rule to"
            " refine_af/ppo/output_layer.py"
        )
