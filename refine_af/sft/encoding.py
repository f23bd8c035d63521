"""Text to tokens: what the model reads, and on which of it the loss is taken.

The prompt and the whole text are tokenized apart; the completion starts where the two differ,
as in TRL. The tokens go to an Arrow file that the trainer maps into memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from numpy.typing import NDArray

from refine_af.sft.templates import TrainingText

IGNORED = -100
"""Label of a token that the loss is not taken on (PyTorch's cross-entropy convention)."""

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Example:
    """One row as tokens.

    Attributes:
        tokens: int32, prompt then completion with its end token.
        prompt_tokens: How many of them the model is given.
    """

    tokens: NDArray[np.int32]
    prompt_tokens: int


def encode(texts: Sequence[TrainingText], tokenizer: Any) -> Iterator[Example]:  # noqa: ANN401
    """Yield the tokens of each text, in order; none is shortened.

    Args:
        texts: All made by one template.
        tokenizer: A transformers tokenizer with an end token.
    """
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        prompts = _token_ids([text.prompt for text in chunk], chunk[0].special, tokenizer)
        wholes = _token_ids(
            [text.prompt + text.completion for text in chunk], chunk[0].special, tokenizer
        )
        for text, prompt, whole in zip(chunk, prompts, wholes, strict=True):
            yield _example(prompt, whole, tokenizer.eos_token_id if text.special else None)


def _token_ids(texts: list[str], special: bool, tokenizer: Any) -> list[list[int]]:  # noqa: ANN401
    # Longer texts than the model's range are counted and refused by us; no warning needed.
    found = tokenizer(texts, add_special_tokens=special, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = found["input_ids"]
    return ids


def _example(prompt: list[int], whole: list[int], end: int | None) -> Example:
    if end is not None and whole[-1] != end:
        whole = [*whole, end]
    same = 0
    for one, other in zip(prompt, whole, strict=False):
        if one != other:
            break
        same += 1
    return Example(np.asarray(whole, dtype=np.int32), same)


def write_examples(path: Path, examples: Iterable[Example]) -> Dataset:
    """Write ``input_ids`` and ``labels`` to an Arrow file and return it, mapped into memory."""
    features = Features({"input_ids": List(Value("int32")), "labels": List(Value("int32"))})
    with ArrowWriter(path=str(path), features=features) as writer:
        for example in examples:
            labels = example.tokens.copy()
            labels[: example.prompt_tokens] = IGNORED
            writer.write({"input_ids": example.tokens, "labels": labels})
        writer.finalize()
    return Dataset.from_file(str(path))
