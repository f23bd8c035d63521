"""Rollouts: prompts in, actions out, in token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.ppo.episodes import Finish, Prompt
from refine_af.ppo.policy import Policy


@dataclass(frozen=True, slots=True)
class Action:
    """What the policy did in one episode.

    Attributes:
        tokens: Token ids, at least one; the end token is the last one when ``finish`` is
            ``stop``, because ending is an action too.
        finish: ``stop`` or ``length``.
    """

    tokens: tuple[int, ...]
    finish: Finish


class RolloutEngine(Protocol):
    """Acts. Its log-probabilities are not used: the trained model recomputes them."""

    def act(
        self, policy: Policy, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Action]:
        """Return one action per prompt, in order, drawn from the policy as it is now.

        Sampling must be plain (temperature of the settings, no top-p, no penalty), or the drawn
        tokens would belong to another distribution than the log-probabilities. An engine with
        weights of its own (vLLM) loads the policy's adapter first.
        """


def encode_prompts(
    tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
    prompts: Sequence[Prompt],
    longest: int | None,
    max_new_tokens: int,
) -> list[list[int]]:
    """Return the token ids of each prompt, special tokens as the tokenizer adds them.

    Args:
        tokenizer: Of the policy.
        prompts: To be encoded.
        longest: Positions that the model has; None where it has no bound.
        max_new_tokens: Longest action, which must fit behind each prompt.

    Raises:
        ParameterError: When the tokenizer has no end token, or a prompt leaves too little room.
        DataError: When a prompt has no token.
    """
    if tokenizer.eos_token_id is None:
        raise ParameterError("the tokenizer has no eos_token; set one, or no action ever ends")
    rows: list[list[int]] = [tokenizer(prompt.text)["input_ids"] for prompt in prompts]
    for prompt, row in zip(prompts, rows, strict=True):
        if not row:
            raise DataError(f"prompt {prompt.id!r} has no token; drop its row")
        if longest is not None and len(row) + max_new_tokens > longest:
            raise ParameterError(
                f"prompt {prompt.id!r} has {len(row)} tokens; with max_new_tokens"
                f" {max_new_tokens} it exceeds the model's {longest} positions, so lower"
                " max_new_tokens or drop the row"
            )
    return rows
