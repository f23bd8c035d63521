"""Prompts as token ids, the same for every engine that runs a model in this process."""

from typing import TYPE_CHECKING

from refine_af.contracts.errors import ParameterError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.text import Completion, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PromptEncoder:
    """Turns prompts into token ids and finds those that leave no room for an answer."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, context: int | None, chat: bool
    ) -> None:
        """Encode for a model with ``context`` positions (None: no bound).

        A chat model gets each prompt as the user's turn in its own template; a base model gets
        the raw text, with the special tokens that its tokenizer adds. Control tokens named in a
        prompt stay text.

        Raises:
            ParameterError: ``chat`` for a model without a chat template.
        """
        if chat and not tokenizer.chat_template:
            raise ParameterError("chat is on, but the model has no chat template; switch it off")
        self._tokenizer, self._context, self._chat = tokenizer, context, chat
        self._encoder = text_encoder(tokenizer)

    def encode(self, prompt: str) -> list[int]:
        """Return the token ids; an empty prompt is the token that texts begin or end with."""
        if self._chat:
            turns = [{"role": "user", "content": prompt}]
            ids = self._encoder.chat(turns, generation_prompt=True)
        else:
            ids = self._encoder.ids(prompt, special=True)
        return ids or [self._first_token()]

    def _first_token(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ParameterError("a prompt is empty and the tokenizer has no bos or eos token")

    def room(self, sampling: Sampling) -> int:
        """Return the most tokens that a completion may take."""
        choices = self._encoder.batch(sampling.choices)
        return max(map(len, choices), default=sampling.max_tokens)

    def refusal(self, request: Request, tokens: int, room: int) -> Completion | None:
        """Return the error of a prompt of ``tokens`` tokens that is too long, or None."""
        if self._context is None or tokens + room <= self._context:
            return None
        reason = (
            f"the prompt has {tokens} tokens and {room} more may follow; the model's context"
            f" holds {self._context}"
        )
        return Completion(request.id, "", "error", tokens, 0, error=reason, refused=True)
