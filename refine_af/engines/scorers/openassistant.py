"""The OpenAssistant reward model: GPT-NeoX with a scalar head on the last real token.

Source: LAION-AI/Open-Assistant, Apache-2.0, ``model_training/models/reward_model.py`` (head and
pooling), ``custom_datasets/formatting.py`` (text form) and ``ranking_collator.py`` (truncation).
The stock ``GPTNeoXForSequenceClassification`` names its head ``score``, so it would load this
checkpoint with a random head; hence a class of our own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPTNeoXConfig, GPTNeoXModel, GPTNeoXPreTrainedModel

MODEL = "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5"
MODEL_TYPE = "gpt_neox_reward_model"
MAX_TOKENS = 2048
MIN_PROMPT_TOKENS = 256
PROMPTER = "<|prompter|>"
ASSISTANT = "<|assistant|>"


class OpenAssistantConfig(GPTNeoXConfig):  # type: ignore[no-untyped-call]
    """GPT-NeoX's configuration with the pooling of the head; only ``last`` was ever published."""

    model_type = MODEL_TYPE

    def __init__(self, pooling: str = "last", **values: Any) -> None:  # noqa: ANN401
        self.pooling = pooling
        super().__init__(**values)


class OpenAssistantRewardModel(GPTNeoXPreTrainedModel):  # type: ignore[no-untyped-call]
    """Token ids to one scalar per row. Tensor names are those of the published checkpoint."""

    config_class = OpenAssistantConfig

    def __init__(self, config: OpenAssistantConfig) -> None:
        super().__init__(config)
        self.gpt_neox = GPTNeoXModel(config)  # type: ignore[no-untyped-call]
        self.out_proj = nn.Linear(config.hidden_size, 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return scores.

        Args:
            input_ids: int64 [rows, tokens], padded on the right.
            attention_mask: int64 [rows, tokens], 1 for real tokens.

        Returns:
            float [rows]: the head's value at each row's last real token; unbounded.
        """
        hidden = self.gpt_neox(input_ids, attention_mask=attention_mask).last_hidden_state
        last = attention_mask.sum(dim=1) - 1
        pooled = hidden[torch.arange(len(hidden), device=hidden.device), last]
        scores: Tensor = self.out_proj(pooled).squeeze(-1)
        return scores


def truncated(prompt: list[int], reply: list[int], max_tokens: int = MAX_TOKENS) -> list[int]:
    """Return prompt and reply ids within ``max_tokens``, as the training collator cut them.

    The prompt loses tokens on the left but keeps its last 256; the reply then loses tokens on the
    right. As in the original, a reply that does not fit beside 256 prompt tokens is cut to
    ``max_tokens - 256`` even when the prompt is shorter than that.
    """
    room = max(MIN_PROMPT_TOKENS, max_tokens - len(reply))
    return prompt[-room:] + reply[: max_tokens - room]
