"""Text as token ids in which only the program writes control tokens.

A tokenizer turns the *name* of a control token into its id wherever the name stands, also inside
a user's HTML or a model's answer (``<s>`` is struck text there). :class:`TextEncoder` works on a
copy of the tokenizer in which control tokens have names that no text holds: text stays text, and
what a chat template or the program itself writes is encoded by those names. Everything else of
the tokenizer (normaliser, merges, begin token) is the same, so texts without such names get the
ids that they always had.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.engines.chat_templates import bounded_template, check_chat_template
from refine_af.engines.thinking import is_think_mark, opens_thinking

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerBase

Turn = Mapping[str, str]
"""One turn of a conversation: ``role`` and ``content``."""

_PROBE = "Refine"
"""An answer that no chat template changes; what follows it is how the template ends a turn."""

_PRIVATE = range(0xF0000, 0xFFFFE)
"""Private characters, one of which stands for each control name inside a text that is rendered."""


class TextEncoder:
    """Encodes texts and conversations for one tokenizer; get one by :func:`text_encoder`.

    Attributes:
        control: Ids that text can never become: special tokens, and added tokens whose name the
            chat template writes (``<think>``).
        turn_end: Id by which the chat template ends a turn; None without one.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        if tokenizer.chat_template:
            check_chat_template(tokenizer)
        self._tokenizer = tokenizer
        self._names = _control_names(tokenizer)
        self.control = frozenset(self._names.values())
        self._written = _pattern(self._names)
        self._backend: tokenizers.Tokenizer | None = None
        self._private: dict[str, str] = {}
        self.turn_end = self._find_turn_end() if tokenizer.chat_template else None
        self._thinking_opened = self._find_opened() if tokenizer.chat_template else ()

    @property
    def ends(self) -> frozenset[int]:
        """Return the ids that end an answer: the tokenizer's end and the template's."""
        ids = (self._tokenizer.eos_token_id, self.turn_end)
        return frozenset(int(token) for token in ids if token is not None)

    @cached_property
    def around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the ids that the tokenizer puts before and behind a text."""
        alone: list[int] = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole: list[int] = self._tokenizer("a")["input_ids"]
        for start in range(len(whole) - len(alone) + 1):
            if whole[start : start + len(alone)] == alone:
                return tuple(whole[:start]), tuple(whole[start + len(alone) :])
        raise DataError(
            f"{type(self._tokenizer).__name__} splits a text in another way when it adds its begin"
            " token; use a model with a usual tokenizer.json"
        )

    def opened(self, prompt: Sequence[int]) -> bool:
        """Return whether the prompt ends where the chat template opens a think block."""
        size = len(self._thinking_opened)
        return size > 0 and tuple(prompt[-size:]) == self._thinking_opened

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of a text; ``special`` adds the tokenizer's begin and end tokens."""
        return self.batch([text], special=special)[0]

    def batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Return the ids of each text, as :meth:`ids`."""
        if not texts:
            return []
        # verbose: callers count the tokens themselves and need no warning about long texts
        plain: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        bad = [index for index, row in enumerate(plain) if not self.control.isdisjoint(row)]
        encoded = plain if not special else self._with_special(plain)
        for index in bad:
            encoded[index] = self._encoded(texts[index], special)
        return encoded

    def _with_special(self, plain: list[list[int]]) -> list[list[int]]:
        before, after = self.around
        return [[*before, *row, *after] for row in plain]

    def chat(self, turns: Sequence[Turn], *, generation_prompt: bool = False) -> list[int]:
        """Return the ids of a conversation in the model's own chat template.

        The template's control tokens are control tokens; the turns are text.
        """
        text = self.rendered(turns, generation_prompt=generation_prompt, control_names=False)
        return self._encoded(text, special=False)

    def rendered(
        self,
        turns: Sequence[Turn],
        *,
        generation_prompt: bool = False,
        control_names: bool = True,
    ) -> str:
        """Return the conversation as the template writes it.

        Args:
            turns: User and assistant turns.
            generation_prompt: Whether the template opens the answer.
            control_names: Write control tokens by their own names; False: by the private names
                of the copied tokenizer, which only this object can encode.
        """
        contents = "".join(turn["content"] for turn in turns)
        shield = _Shield(self._written, contents)
        hidden = [{**turn, "content": shield.hide(turn["content"])} for turn in turns]
        text = self._from_template(hidden, generation_prompt)
        if not control_names and self._written is not None:
            private = self._private_names()
            text = self._written.sub(lambda match: private[match[0]], text)
        return shield.show(text)

    def _from_template(self, turns: list[dict[str, str]], generation_prompt: bool) -> str:
        """Return what the template writes; it is a program, and may raise anything.

        Raises:
            DataError: With what it raised.
        """
        try:
            with bounded_template(self._tokenizer):
                return str(
                    self._tokenizer.apply_chat_template(
                        turns, tokenize=False, add_generation_prompt=generation_prompt
                    )
                )
        except DataError:
            raise
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "")[:200]
            raise DataError(
                f"{self._tokenizer.name_or_path}: its chat template cannot write this conversation"
                f" ({type(error).__name__}: {first}); correct the template, or set chat to no"
            ) from error

    def template(self, text: str, **values: str) -> list[int]:
        """Return the ids of a text of the program's own, with ``{name}`` filled by values.

        Control names in ``text`` are control tokens; the values are text. The tokenizer's begin and
        end tokens are added.
        """
        private = self._private_names()
        if self._written is not None:
            text = self._written.sub(lambda match: private[match[0]], text)
        return self._encoded(text.format(**values), special=True)

    def _private_names(self) -> dict[str, str]:
        if not self._private:
            salt = secrets.token_hex(8)
            self._private = {
                name: f"\U0010fffd{salt}-{number}\U0010fffd"
                for number, name in enumerate(self._names)
            }
        return self._private

    def _encoded(self, text: str, special: bool) -> list[int]:
        if self._backend is None:
            source = getattr(self._tokenizer, "backend_tokenizer", None)
            if source is None:
                return self._encoded_in_pieces(text, special)
            self._backend = renamed(source, self._names, self._private_names())
        ids: list[int] = self._backend.encode(text, add_special_tokens=special).ids
        return ids

    def _encoded_in_pieces(self, text: str, special: bool) -> list[int]:
        """Encode for a tokenizer in Python, which cannot be copied with other names."""
        control = {private: self._names[name] for name, private in self._private_names().items()}
        names = _pattern(control)
        ids: list[int] = []
        for piece in re.split(f"({names.pattern})", text) if names is not None else [text]:
            ids += [control[piece]] if piece in control else self._plain(piece)
        before, after = self.around if special else ((), ())
        return [*before, *ids, *after]

    def _plain(self, text: str) -> list[int]:
        """Return the ids of a text; names of added tokens in it are split, those of words too.

        Raises:
            ParameterError: When a control token stands in the vocabulary as a piece of text.
        """
        plain: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if self.control.isdisjoint(plain):
            return plain
        pieces = self._tokenizer.tokenize(text, split_special_tokens=True)
        ids: Any = self._tokenizer.convert_tokens_to_ids(pieces)
        unknown = self._tokenizer.unk_token_id
        if bad := sorted(self.control.difference([unknown]).intersection(ids)):
            name = self._tokenizer.convert_ids_to_tokens(bad)[0]
            raise ParameterError(
                f"{type(self._tokenizer).__name__} takes {name!r} in a text for a control token;"
                " use a model with a tokenizer.json (save_pretrained of its fast tokenizer writes"
                " one), or drop the rows that hold it"
            )
        return list(ids)

    def _find_turn_end(self) -> int | None:
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        try:
            text = self.rendered(turns)
        except Exception:  # a template may raise anything; the caller that renders a row reports it
            return None
        _, probe, tail = text.rpartition(_PROBE)
        if not probe:
            return None
        match = self._written.match(tail.lstrip()) if self._written is not None else None
        return self._names[match[0]] if match else None

    def _find_opened(self) -> tuple[int, ...]:
        """Return how a prompt ends that opens a think block, from its last control token on."""
        try:
            text = self.rendered([{"role": "user", "content": _PROBE}], generation_prompt=True)
        except Exception:  # as above
            return ()
        if not opens_thinking(text):
            return ()
        ids = self.chat([{"role": "user", "content": _PROBE}], generation_prompt=True)
        last = max((index for index, token in enumerate(ids) if token in self.control), default=0)
        return tuple(ids[last:])


class _Shield:
    """Hides control names in texts from a template, and puts them back afterwards."""

    def __init__(self, written: re.Pattern[str] | None, contents: str) -> None:
        self._written = written if written is not None and written.search(contents) else None
        self._marks: dict[str, str] = {}
        if self._written is not None:
            free = (chr(code) for code in _PRIVATE if chr(code) not in contents)
            self._marks = {
                name: next(free) for name in dict.fromkeys(self._written.findall(contents))
            }

    def hide(self, text: str) -> str:
        if self._written is None:
            return text
        return self._written.sub(lambda match: self._marks[match[0]], text)

    def show(self, text: str) -> str:
        for name, mark in self._marks.items():
            text = text.replace(mark, name)
        return text


@lru_cache(maxsize=8)
def text_encoder(tokenizer: "PreTrainedTokenizerBase") -> TextEncoder:
    """Return the encoder of a tokenizer; the copy is made once, when it is first needed."""
    return TextEncoder(tokenizer)


def _control_names(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    r"""Return control tokens by name.

    Added tokens that are not special are words (runs of blanks, ``\n\n``), unless the chat
    template writes them or they open and close a think block.
    """
    template = json.dumps(tokenizer.chat_template, ensure_ascii=False, default=str)
    template = template.replace('\\"', '"')
    control = {
        str(token): int(index)
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special
        or is_think_mark(str(token))
        or (_is_mark(str(token)) and str(token) in template)
    }
    ids: list[int] = tokenizer.all_special_ids
    for name, index in zip(tokenizer.all_special_tokens, ids, strict=True):
        control.setdefault(name, index)
    return {name: index for name, index in control.items() if name.strip()}


def _is_mark(name: str) -> bool:
    return (name[:1], name[-1:]) in {("<", ">"), ("[", "]")}


def _pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def renamed(
    backend: "tokenizers.Tokenizer", control: Mapping[str, int], private: Mapping[str, str]
) -> "tokenizers.Tokenizer":
    """Return a copy of a fast tokenizer whose control tokens have other names and the same ids.

    ``encode_special_tokens`` alone would not do: a Unigram or WordPiece vocabulary has ``</s>`` as
    a piece as well, and a normaliser can turn full-width letters into it.
    """
    import tokenizers

    value = json.loads(backend.to_str())
    value["truncation"] = value["padding"] = None
    by_id = {index: private[name] for name, index in control.items()}
    for token in value["added_tokens"]:
        token["content"] = by_id.get(token["id"], token["content"])
    _rename_in_vocabulary(value["model"], by_id)
    return tokenizers.Tokenizer.from_str(json.dumps(value))


def _rename_in_vocabulary(model: dict[str, Any], by_id: Mapping[int, str]) -> None:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: [piece, score] by id
        for index, name in by_id.items():
            if index < len(vocabulary):
                vocabulary[index][0] = name
        return
    old = {name: by_id[index] for name, index in vocabulary.items() if index in by_id}
    model["vocab"] = {old.get(name, name): index for name, index in vocabulary.items()}
    if model.get("unk_token") in old:
        model["unk_token"] = old[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if not _makes(pair, old)]


def _makes(pair: list[str] | str, names: Mapping[str, str]) -> bool:
    left, right = pair.split(" ") if isinstance(pair, str) else pair
    return left in names or right in names or left + right in names
