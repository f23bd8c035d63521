"""Encodes text as tokens, with labels for the completion.

The prompt and the whole text are tokenized apart; the completion starts where the two differ,
as in TRL. Control tokens named in a row stay text; an answer ends with the chat template's end of
turn, or with the tokenizer's end token. The tokens go to an Arrow file that the trainer maps into
memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from numpy.typing import NDArray

from refine_af.engines.control_tokens import TextEncoder, text_encoder
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
    encoder = text_encoder(tokenizer)
    for start in range(0, len(texts), _CHUNK):
        chunk = texts[start : start + _CHUNK]
        prompts, wholes = _token_ids(chunk, encoder)
        for text, prompt, whole in zip(chunk, prompts, wholes, strict=True):
            same = _shared(prompt, whole)
            if not text.turns:
                ended = whole[-1] == tokenizer.eos_token_id
            else:  # a chat template ends a turn by itself, as a rule
                ended = not encoder.ends.isdisjoint(whole[same:])
            whole = whole if ended else [*whole, tokenizer.eos_token_id]
            yield Example(np.asarray(whole, dtype=np.int32), same)


def _token_ids(
    texts: Sequence[TrainingText], encoder: TextEncoder
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the tokens of the prompts, and of prompts with completions."""
    if texts[0].turns:
        asked = [encoder.chat(text.turns[:1], generation_prompt=True) for text in texts]
        return asked, [encoder.chat(text.turns) for text in texts]
    return (
        encoder.batch([text.prompt for text in texts], special=True),
        encoder.batch([text.prompt + text.completion for text in texts], special=True),
    )


def _shared(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    pairs = zip(prompt, whole, strict=False)
    return next(
        (index for index, (token, expected) in enumerate(pairs) if token != expected),
        min(len(prompt), len(whole)),
    )


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
