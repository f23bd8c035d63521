"""Sentence vectors as sentence-transformers computes them, with transformers alone.

Reads a model folder as sentence-transformers lays it out: ``modules.json`` names the steps,
``1_Pooling/config.json`` the pooling, ``sentence_bert_config.json`` the longest text. A folder
without them is pooled by the mean over tokens, as the library does.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_af.contracts.errors import DataError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.models import pick_device, pick_dtype, resolve_model
from refine_af.engines.pretrained import load_whole, reading
from refine_af.engines.scorers.checkpoint import right_padded

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Pooling = Literal["mean", "cls", "last"]

_POOLING: dict[str, Pooling] = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
"""In the newer files the value of ``pooling_mode``, in the older ones a key that is true."""
_KNOWN_STEPS = ("Transformer", "Pooling", "Normalize")
_NO_BOUND = 100_000
"""Tokenizers without a maximum length give a huge number."""


class SentenceVectors:
    """Embeds texts with one encoder; vectors have length 1, whatever the model's last step is."""

    def __init__(self, model: str, *, dtype: str = "auto", batch_size: int = 32) -> None:
        """Load the model.

        Args:
            model: As :func:`refine_af.engines.models.resolve_model`.
            dtype: ``auto`` is bfloat16 on a GPU and float32 on the CPU.
            batch_size: Texts per batch.

        Raises:
            DataError: The folder is not an encoder, or has an unsupported step (``Dense``).
        """
        folder = resolve_model(model)
        _refuse_other_steps(folder, model)
        self._pool = _pooling(folder, model)
        self._device = pick_device("auto")
        self._batch_size = batch_size
        self._encoder, self._tokenizer = _load(folder, model, pick_dtype(dtype, self._device))
        self._encoder.to(self._device).train(False)  # type: ignore[arg-type]  # hidden signature
        self._pad = self._tokenizer.pad_token_id or 0
        self._longest = _longest(folder, self._encoder.config, self._tokenizer)

    def embed(
        self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors, float32 [texts, D]; longer texts are cut at the model's length.

        Batches hold texts of similar length, so that little is padded. ``on_batch`` is
        called with the number of texts done after each batch.
        """
        order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), index))
        vectors = np.zeros((len(texts), self._encoder.config.hidden_size), np.float32)
        for start in range(0, len(order), self._batch_size):
            indices = order[start : start + self._batch_size]
            vectors[indices] = self._batch([texts[index] for index in indices])
            if on_batch is not None:
                on_batch(start + len(indices))
        return vectors

    @torch.inference_mode()
    def _batch(self, texts: list[str]) -> NDArray[np.float32]:
        ids, mask = right_padded(self._encoded(texts), self._pad, self._device)
        states = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = pool(states, mask, self._pool)
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return vectors

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids, cut as the tokenizer cuts: what it puts behind a text stays."""
        encoder = text_encoder(self._tokenizer)
        after = encoder.around[1]
        room = self._longest - len(after)
        rows = encoder.batch(texts, special=True)
        return [row if len(row) <= self._longest else [*row[:room], *after] for row in rows]


def pool(states: Tensor, mask: Tensor, how: Pooling) -> Tensor:
    """Return one vector per text from hidden states [texts, T, D], padded on the right."""
    if how == "cls":
        return states[:, 0]
    if how == "last":
        ends = mask.sum(1) - 1
        return states[torch.arange(len(states), device=states.device), ends]
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def _load(
    folder: Path, model: str, dtype: torch.dtype
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    with reading(model, "an encoder"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return load_whole(AutoModel, folder, model, "an encoder", pooler=False, dtype=dtype), tokenizer


def _refuse_other_steps(folder: Path, model: str) -> None:
    steps = _json(folder / "modules.json") or []
    kinds = [str(step.get("type", "")).rsplit(".", 1)[-1] for step in steps]
    unknown = [kind for kind in kinds if kind not in _KNOWN_STEPS]
    if unknown:
        raise DataError(
            f"{model}: modules.json has the step {unknown[0]!r}; only"
            f" {', '.join(_KNOWN_STEPS)} are computed here; choose a model without it"
        )


def _pooling(folder: Path, model: str) -> Pooling:
    settings = _json(folder / "1_Pooling" / "config.json")
    if settings is None:
        return "mean"
    on = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    on = [str(settings["pooling_mode"])] if "pooling_mode" in settings else on
    if len(on) != 1 or on[0] not in _POOLING:
        raise DataError(
            f"{model}: 1_Pooling/config.json asks for {', '.join(on) or 'no pooling'}; one of"
            f" these is computed here: {', '.join(_POOLING)}"
        )
    return _POOLING[on[0]]


def _longest(folder: Path, config: Any, tokenizer: "PreTrainedTokenizerBase") -> int:  # noqa: ANN401  untyped
    settings = _json(folder / "sentence_bert_config.json") or {}
    bounds = [settings.get("max_seq_length"), tokenizer.model_max_length]
    bounds.append(getattr(config, "max_position_embeddings", None))
    return int(min(bound for bound in bounds if bound) if any(bounds) else _NO_BOUND)


def _json(path: Path) -> Any:  # noqa: ANN401  whatever the file holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
