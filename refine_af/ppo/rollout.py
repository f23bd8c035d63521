"""Rollouts: prompts in, actions out, in token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from refine_af.contracts.errors import ParameterError
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.encoding import PromptEncoder
from refine_af.ppo.episodes import Finish, Prompt
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy


@dataclass(frozen=True, slots=True)
class Action:
    """What the policy did in one episode.

    Attributes:
        tokens: Token ids, at least one; when ``finish`` is ``stop`` the last ones are the end
            token or those of a stop text, because ending is an action too.
        finish: ``stop`` or ``length``.
        logprobs: Of each token under the policy as the engine computed it, nats; None where the
            engine is the trained model itself.
    """

    tokens: tuple[int, ...]
    finish: Finish
    logprobs: tuple[float, ...] | None = None


class RolloutEngine(Protocol):
    """Draws actions.

    The trained model computes their log-probabilities again for PPO's ratio. An engine with weights
    of its own returns its own as well; they correct the loss for its kernels' rounding.
    """

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
    settings: PPOParams,
) -> list[list[int]]:
    """Return the token ids of each prompt, as the text engines encode it.

    Args:
        tokenizer: Of the policy.
        prompts: To be encoded.
        longest: Positions that the model has; None where it has no bound.
        settings: Their longest action must fit behind each prompt; ``chat`` makes each the user's
            turn in the model's chat template.

    Raises:
        ParameterError: When the tokenizer has no end token or no chat template that is asked for,
            or a prompt leaves too little room.
    """
    if not text_encoder(tokenizer).ends:
        raise ParameterError("the tokenizer has no eos_token; set one, or no action ever ends")
    encoder = PromptEncoder(tokenizer, context=longest, chat=settings.asks_by_chat)
    rows = [encoder.encode(prompt.text) for prompt in prompts]
    room = settings.max_new_tokens
    for prompt, row in zip(prompts, rows, strict=True):
        if longest is not None and len(row) + room > longest:
            raise ParameterError(
                f"prompt {prompt.id!r} has {len(row)} tokens; with max_new_tokens {room} it exceeds"
                f" the model's {longest} positions, so lower max_new_tokens, drop the row, or (with"
                " style few_shot) set style to plain"
            )
    return rows
