"""The embedded reward: the embedded model with an adapter and a small head of four indicators.

The model reads the correctness question about a row; the head sees the state before the answer,
the model's own yes against no, and how likely it finds the row's tokens.  Both were trained on
synthetic corruptions of generated tasks; the reward is no judge of real text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from refine_af.builtin import PAD_ID, PATHS

Row = tuple[str, str, str]
"""Instruction, input and output."""

CORRECT_QUESTION = "Is this output correct?"
"""Asked of the embedded model about a row; it was trained on this wording."""

INDICATORS = ("naturalness", "coherence", "understandability", "reward")
HEAD_FILE = "head.safetensors"
STATISTICS = 7
_BATCH = 64
_MOST_TOKENS = 400


@dataclass(frozen=True)
class Encoded:
    """One row as tokens, with the spans of its input and its output as [start, end)."""

    ids: list[int]
    input_span: tuple[int, int]
    output_span: tuple[int, int]


class Trunk:
    """The embedded model, with or without an adapter, turned into features of rows."""

    def __init__(self, folder: Path, device: str = "cpu", adapter: Path | None = None) -> None:
        from transformers import AutoModelForCausalLM

        self.device = device
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True  # a row's "<eos>" is text
        model: Any = cast(Any, AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32)
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        self.model: Any = model.to(device).eval().requires_grad_(False)
        self.width = int(self.model.config.hidden_size) + STATISTICS
        self._yes, self._no = (self._ids(word)[0] for word in (" Yes", " No"))

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids

    def encode(self, row: Row) -> Encoded:
        """Encode the correctness question about a row; endless texts are cut."""
        instruction, text, output = row
        ids = self._ids(f"Instruction: {instruction}\n")[:_MOST_TOKENS]
        start = len(ids)
        if text:
            ids += self._ids(f"Input: {text}\n")[:_MOST_TOKENS]
        middle = len(ids)
        ids += self._ids(f"Output: {output}")[:_MOST_TOKENS]
        end = len(ids)
        ids += self._ids(f"\nQuestion: {CORRECT_QUESTION}\nAnswer:")
        return Encoded(ids, (start, middle), (middle, end))

    @torch.inference_mode()
    def features(self, rows: Sequence[Row]) -> Tensor:
        """Return the features of rows, [rows, width], in the order given."""
        found = [self.encode(row) for row in rows]
        order = sorted(range(len(found)), key=lambda i: (len(found[i].ids), i))
        out = torch.empty(len(rows), self.width)
        for first in range(0, len(order), _BATCH):
            chosen = order[first : first + _BATCH]
            out[chosen] = self.batch([found[i] for i in chosen]).cpu()
        return out

    def batch(self, found: Sequence[Encoded]) -> Tensor:
        """Return the features of rows of like length, [rows, width], with gradient if wanted."""
        longest = max(len(row.ids) for row in found)
        ids = torch.full((len(found), longest), PAD_ID)
        seen = torch.zeros((len(found), longest), dtype=torch.long)
        for number, row in enumerate(found):
            ids[number, : len(row.ids)] = torch.tensor(row.ids)
            seen[number, : len(row.ids)] = 1
        ids = ids.to(self.device)
        states = self.model.get_decoder()(input_ids=ids, attention_mask=seen.to(self.device))
        hidden: Tensor = states.last_hidden_state
        logits = self.model.get_output_embeddings()(hidden).float()
        gained = torch.log_softmax(logits[:, :-1], -1).gather(2, ids[:, 1:, None])[..., 0]
        rows = [self._row(row, hidden[i], logits[i], gained[i]) for i, row in enumerate(found)]
        return torch.stack(rows)

    def _row(self, row: Encoded, hidden: Tensor, logits: Tensor, gained: Tensor) -> Tensor:
        last = len(row.ids) - 1
        margin = logits[last, self._yes] - logits[last, self._no]
        numbers = [margin]
        for start, end in (row.input_span, row.output_span):
            # The first two tokens are the field's name; the token at t is predicted at t - 1.
            part = gained[start + 1 : end - 1]
            empty = part.numel() == 0
            zero = gained.new_zeros(())
            numbers += [zero, zero] if empty else [part.mean(), part.min()]
            numbers.append(gained.new_tensor(float(end - start)).log1p())
        return torch.cat([hidden[last], torch.stack(numbers)])


class Head(nn.Module):
    """Standardises features and gives one logit for every indicator, [rows, 4]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, inner: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, len(INDICATORS))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [rows, 4] of features [rows, width]."""
        # Clamped, so that texts far from all training rows have a bounded score.
        level = ((features - self.mean) / self.scale).clamp(-5.0, 5.0)
        return cast(Tensor, self.outer(torch.nn.functional.gelu(self.inner(level))))

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Return the head that was written to ``folder``."""
        from safetensors.torch import load_file

        state = load_file(str(folder / HEAD_FILE))
        head = cls(len(state["mean"]))
        head.load_state_dict(state)
        return head.eval()


class TinyReward:
    """Scores rows of (instruction, input, output) on the CPU in batches, the same every time."""

    def __init__(self, device: str = "cpu") -> None:
        self._trunk = Trunk(PATHS["tiny"], device, adapter=PATHS["tiny-reward"])
        self._head = Head.load(PATHS["tiny-reward"])

    @torch.inference_mode()
    def score(self, rows: Sequence[Row]) -> list[dict[str, float]]:
        """Return every indicator of every row.

        Returns:
            Naturalness, coherence and understandability as probabilities in 0..1, and reward as a
            logit without bounds.
        """
        if not rows:
            return []
        logits = self._head(self._trunk.features(rows))
        chances = logits.sigmoid()
        chances[:, INDICATORS.index("reward")] = logits[:, INDICATORS.index("reward")]
        return [dict(zip(INDICATORS, row, strict=True)) for row in chances.tolist()]
