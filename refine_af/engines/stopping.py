"""Where a completion ends: its text, end tokens and stop texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.contracts.errors import DataError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.thinking import is_think_mark, split_thinking

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT_TOKENS = 6
"""Prompt tokens decoded before a completion: enough to finish a character of 4 bytes."""


def completion_text(
    tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], tokens: Sequence[int]
) -> str:
    """Return the text that ``tokens`` add after ``prompt``.

    They are decoded after the end of the prompt, because SentencePiece tokenizers drop the space in
    front of the first token of whatever they decode. Special tokens leave no text; bytes that are
    not UTF-8 become U+FFFD.
    """
    before = list(prompt[-CONTEXT_TOKENS:])
    head = _decode(tokenizer, before)
    whole = _decode(tokenizer, [*before, *tokens])
    return whole[len(head) :] if whole.startswith(head) else _decode(tokenizer, tokens)


def _decode(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str:
    silent = _silent(tokenizer)
    shown = [token for token in tokens if token not in silent] if silent else list(tokens)
    text = tokenizer.decode(
        shown, skip_special_tokens=not silent, clean_up_tokenization_spaces=False
    )
    return str(text)


@lru_cache(maxsize=8)
def _silent(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return the ids that leave no text where a think block's marks are special tokens too."""
    special = {
        int(index): str(token)
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special
    }
    if not any(map(is_think_mark, special.values())):
        return frozenset()
    return frozenset(index for index, name in special.items() if not is_think_mark(name))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote, without its think block and the stop text.

    Attributes:
        text: The answer.
        thinking: The think block with its marks; empty if there is none.
        stopped: Whether a stop text ended it.
    """

    text: str
    thinking: str = ""
    stopped: bool = False


def read_answer(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: Sequence[int],
    tokens: Sequence[int],
    stop: Sequence[str],
) -> Answer:
    """Return the answer in ``tokens``; a stop text counts only behind the think block."""
    whole = completion_text(tokenizer, prompt, tokens)
    thinking, rest = split_thinking(whole, text_encoder(tokenizer).opened(prompt))
    text = cut(rest, stop)
    return Answer(text, thinking, len(text) < len(rest))


def cut(text: str, stop: Sequence[str]) -> str:
    """Return ``text`` up to the first position at which a stop text begins."""
    starts = [start for start in map(text.find, stop) if start >= 0]
    return text[: min(starts)] if starts else text


def end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return the ids that end a completion.

    Those of the generation config, the tokenizer's end, and the chat template's end of turn.

    Raises:
        DataError: For something else than ids in the generation config.
    """
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    ids = [token for token in listed if token is not None]
    for token in ids:
        if type(token) is not int or token < 0:
            raise DataError(
                f"{tokenizer.name_or_path}: generation_config.json says eos_token_id {token!r}; it"
                " must be a token's id or a list of them"
            )
    return text_encoder(tokenizer).ends | set(ids)


def set_end_tokens(model: Any, tokenizer: "PreTrainedTokenizerBase") -> None:  # noqa: ANN401  PEFT models have no type
    """Write the end tokens into the model's generation config, which is saved with it.

    A published config that names a nucleus but not that it samples can be read and not saved, which
    would show after the training: it samples then.
    """
    ends = sorted(end_tokens(model, tokenizer))
    if ends:
        model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]
    try:
        model.generation_config.validate(strict=True)
    except ValueError:
        model.generation_config.do_sample = True


def save_end_tokens(model: Any, folder: Path) -> None:  # noqa: ANN401
    """Write the end tokens beside an adapter, whose own files do not hold them."""
    from transformers import GenerationConfig

    kind: Any = GenerationConfig
    kind(eos_token_id=model.generation_config.eos_token_id).save_pretrained(folder)


@lru_cache(maxsize=64)
def stop_triggers(
    tokenizer: "PreTrainedTokenizerBase", stop: tuple[str, ...]
) -> frozenset[int] | None:
    """Return the tokens after which a stop text may be complete; None means after any token.

    A stop text is complete only when its last character has just been written, so text needs to
    be decoded only after a token that holds that character. A token that decodes to U+FFFD holds
    part of a character, and a stop text that ends in a space may hide in any SentencePiece token.
    Costs one pass over the vocabulary.
    """
    if any(text.endswith(" ") for text in stop):
        return None
    last = {text[-1] for text in stop} | {"\ufffd"}
    pieces = _pieces(tokenizer)
    return frozenset(token for token, piece in enumerate(pieces) if not last.isdisjoint(piece))


@lru_cache(maxsize=4)
def _pieces(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    ids = [[token] for token in range(len(tokenizer))]
    pieces: list[str] = tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
    return pieces
