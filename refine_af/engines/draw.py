"""The choice of the next token: every draw is a function of (seed, step), never of the batch.

Shapes: B rows of a batch, V words of the vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from refine_af.engines.text import Sampling

NUCLEUS_FIRST_LOOK = 64
"""Most nuclei hold fewer tokens than this; looking for them costs a tenth of sorting V."""


def noise(seeds: Sequence[int], steps: int) -> Tensor:
    """Return uniform numbers in [0, 1), float64, shape (B, steps).

    Row i is the start of the Philox stream with key ``seeds[i]``, taken from the raw 64-bit
    words (which numpy promises to keep), so it does not depend on B or on ``steps``.
    """
    rows = [np.random.Philox(key=seed % 2**128).random_raw(steps) for seed in seeds]
    return torch.from_numpy((np.stack(rows) >> np.uint64(11)) * 2.0**-53)


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Return the chosen tokens, int64, shape (B,).

    Greedy at temperature 0 (the lowest token id of equal logits on a CPU). Otherwise the inverse
    of the cumulative distribution, in the order of the token ids, at ``uniform``: a small change
    of the logits moves the answer only next to a boundary, which sampling by ranks would not
    give.

    Args:
        logits: Shape (B, V), float32, penalties applied.
        uniform: Shape (B,), in [0, 1).
        sampling: Temperature and nucleus mass.
    """
    if sampling.temperature == 0.0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / sampling.temperature, -1)
    if sampling.top_p < 1.0:
        least = nucleus_bound(probabilities, sampling.top_p)
        probabilities = torch.where(probabilities >= least, probabilities, 0.0)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    chosen = torch.searchsorted(cumulative, uniform[:, None] * total, right=True)
    # Rounding can make the product reach the total: then the last token with any mass is meant.
    last = torch.searchsorted(cumulative, total, right=False)
    # Logits that are not numbers leave the table; the caller finds them by their log-probability.
    return torch.minimum(chosen, last).clamp(max=logits.shape[-1] - 1).squeeze(1)


def nucleus_bound(probabilities: Tensor, top_p: float) -> Tensor:
    """Return the probability of the least likely token in the nucleus, shape (B, 1).

    The nucleus is the smallest set of most likely tokens whose mass reaches ``top_p``; tokens
    that tie with its last member belong to it (a sort would drop some of them arbitrarily).
    """
    count = min(NUCLEUS_FIRST_LOOK, probabilities.shape[-1])
    bound, reached = _bound(probabilities.topk(count, -1).values, top_p)
    if not bool(reached.all()):
        rest = ~reached
        ranked = probabilities[rest].sort(-1, descending=True).values
        bound[rest], _ = _bound(ranked, top_p)
    return bound[:, None]


def _bound(ranked: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    cumulative = ranked.cumsum(-1, dtype=torch.float64)
    reached = cumulative[:, -1] >= top_p
    index = (cumulative < top_p).sum(-1, keepdim=True).clamp(max=ranked.shape[-1] - 1)
    return ranked.gather(-1, index).squeeze(-1), reached
