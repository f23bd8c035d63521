"""Mean loss of given completions under a model, for audits of what it remembers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from refine_af.contracts.records import Instance
from refine_af.engines.adapters import apply_adapter, require_base
from refine_af.engines.models import load_model
from refine_af.sft.encoding import Example, encode
from refine_af.sft.params import Template
from refine_af.sft.templates import training_text

BATCH = 16


def completion_losses(
    model: str, adapter: Path | None, rows: Sequence[Instance], template: Template, seed: int
) -> list[float]:
    """Return the mean of -log p per completion token of each row, nats, in order.

    Rows are tokenized as :func:`refine_af.sft.run.fine_tune` does, with the same template
    and seed.
    """
    if adapter is not None:
        require_base(adapter, model)
    loaded, tokenizer = load_model(model)
    network = apply_adapter(loaded, adapter) if adapter is not None else loaded
    network.train(False)
    examples = list(
        encode([training_text(row, template, seed, tokenizer) for row in rows], tokenizer)
    )
    order = sorted(range(len(rows)), key=lambda index: len(examples[index].tokens))
    losses = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        indices = order[start : start + BATCH]
        for index, loss in zip(
            indices, _batch(network, [examples[index] for index in indices]), strict=True
        ):
            losses[index] = loss
    return losses


@torch.no_grad()
def _batch(network: Any, examples: Sequence[Example]) -> list[float]:  # noqa: ANN401
    length = max(len(example.tokens) for example in examples)
    ids = torch.zeros((len(examples), length), dtype=torch.long)
    mask = torch.zeros_like(ids)
    wanted = torch.zeros((len(examples), length), dtype=torch.bool)
    for line, example in enumerate(examples):
        ids[line, : len(example.tokens)] = torch.from_numpy(example.tokens.astype("int64"))
        mask[line, : len(example.tokens)] = 1
        wanted[line, example.prompt_tokens : len(example.tokens)] = True
    device = next(network.parameters()).device
    logits = network(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float().cpu()
    scores = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
    chosen = wanted[:, 1:]
    sums = -(scores * chosen).sum(1)
    return [float(loss) for loss in sums / chosen.sum(1).clamp(min=1)]
