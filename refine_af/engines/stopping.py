"""Where a completion ends: its text, end tokens and stop texts."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT_TOKENS = 6
"""Prompt tokens decoded before a completion: enough to finish a character of 4 bytes."""


def completion_text(
    tokenizer: "PreTrainedTokenizerBase", prompt: Sequence[int], tokens: Sequence[int]
) -> str:
    """Return the text that ``tokens`` add after ``prompt``.

    Decoded behind the end of the prompt, because SentencePiece tokenizers drop the space in
    front of the first token of whatever they decode. Special tokens leave no text; bytes that
    are not UTF-8 become U+FFFD.
    """
    before = list(prompt[-CONTEXT_TOKENS:])
    head = _decode(tokenizer, before)
    whole = _decode(tokenizer, [*before, *tokens])
    return whole[len(head) :] if whole.startswith(head) else _decode(tokenizer, tokens)


def _decode(tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str:
    text = tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return ``text`` up to the first place where any stop text begins."""
    places = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(places)] if places else text


def end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Return the ids that end a completion: the generation config's and the tokenizer's."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(token) for token in [*ids, tokenizer.eos_token_id] if token is not None)


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
