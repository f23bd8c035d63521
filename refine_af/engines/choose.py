"""Constrained choice: a completion that is one of a few given texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from refine_af.contracts.errors import ParameterError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.decode import Decoded, Prefilled, evaluation, prefill
from refine_af.engines.draw import draw, noise
from refine_af.engines.text import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def choose(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
) -> list[Decoded]:
    """Return one of ``sampling.choices`` per prompt, drawn by its probability after the prompt.

    A choice has the probability of its tokens, without an end token; they are normalised over
    the choices (temperature 0: the most likely one, the first of equals; otherwise the log
    probabilities are divided by the temperature). This compares whole choices; a grammar that masks
    token by token normalises after each token. For choices of one token both are the same. A choice
    that is the beginning of another is always at least as likely as it.
    """
    if not prompts:
        return []
    texts = text_encoder(tokenizer).batch(sampling.choices)
    if not all(texts):
        raise ParameterError(f"choices are {sampling.choices!r}; each must have a token")
    with evaluation(model):
        scores = score_continuations(model, prompts, texts)
    greedy = Sampling(temperature=sampling.temperature)
    picked = draw(scores, noise(seeds, 1)[:, 0].to(scores.device), greedy).tolist()
    return [
        Decoded(list(texts[pick]), "stop", float(row[pick]), tuple(row))
        for pick, row in zip(picked, scores.tolist(), strict=True)
    ]


def score_continuations(
    model: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
) -> Tensor:
    """Return log p(text | prompt), nats, float32, shape (prompts, texts).

    The prompts are read once and every text is appended to the same cache; a model whose layers
    cannot be rewound (attention windows that are reached, recurrent states) reads the prompts
    once per text.
    """
    room = max(map(len, texts))
    state = prefill(model, prompts, room)
    columns = []
    for index, text in enumerate(texts):
        if index > 0 and not state.growing:
            state = prefill(model, prompts, room)
        columns.append(_score(model, state, text))
    return torch.stack(columns, dim=1)


def _score(model: "PreTrainedModel", state: Prefilled, text: Sequence[int]) -> Tensor:
    logits = state.logits[:, None]
    if len(text) > 1:
        width, positions = state.mask.shape[1], state.positions
        given = torch.tensor(list(text[:-1]), device=positions.device)
        following = state.step(model, given.expand(len(positions), -1))
        logits = torch.cat([logits, following], dim=1)
        if state.growing:
            state.rewind(width, positions)
    ids = torch.tensor(list(text), device=logits.device).expand(logits.shape[0], -1)
    return logits.log_softmax(-1).gather(2, ids[:, :, None]).sum((1, 2))
