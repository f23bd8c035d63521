"""The experience of one update: episodes with the outputs of policy and start model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_af.engines.memory import RowsAtOnce
from refine_af.ppo.advantages import estimate_advantages, whiten
from refine_af.ppo.kl import k1
from refine_af.ppo.losses import importance_weights
from refine_af.ppo.padding import Batch, pad, right_aligned
from refine_af.ppo.params import PPOParams
from refine_af.ppo.passes import microbatch_rows, once, repeated
from refine_af.ppo.policy import Policy
from refine_af.ppo.rewards import token_rewards
from refine_af.ppo.rollout import Action
from refine_af.ppo.schedule import microbatches, minibatches
from refine_af.processes.group import ALONE, Processes


@dataclass(frozen=True, slots=True)
class ForwardOutputs:
    """What the models say of the actions, before training: [B, A] float32, 0 at padding.

    Attributes:
        mask: True at the actions' tokens, [B, A] bool.
        logprobs: Of the acting policy.
        reference: Of the start model.
        values: Of the acting policy.
        entropy: Of the acting policy.
        acted: Log-probabilities as the engine that acted computed them; None where the trained
            model acted itself.
    """

    mask: Tensor
    logprobs: Tensor
    reference: Tensor
    values: Tensor
    entropy: Tensor
    acted: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Experience:
    """What one update trains on. Rows are episodes in the order of the rollout.

    Attributes:
        prompts: Token ids of the prompts.
        actions: Token ids of the actions.
        outputs: Old log-probabilities and values, reference, entropy.
        advantages: That the policy loss uses, [B, A].
        returns: Targets of the value loss, [B, A].
        weights: Factors of the policy loss, [B, A], see :func:`importance_weights`; None for 1.
    """

    prompts: Sequence[Sequence[int]]
    actions: Sequence[Sequence[int]]
    outputs: ForwardOutputs
    advantages: Tensor
    returns: Tensor
    weights: Tensor | None = None

    @property
    def lengths(self) -> list[int]:
        """Return the tokens of each episode, prompt and action together."""
        pairs = zip(self.prompts, self.actions, strict=True)
        return [len(prompt) + len(action) for prompt, action in pairs]

    def batch(self, rows: Sequence[int], device: torch.device) -> Batch:
        """Return the episodes of ``rows``, padded to the longest of them."""
        return pad([self.prompts[r] for r in rows], [self.actions[r] for r in rows], device)


@torch.no_grad()
def forward_outputs(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    actions: Sequence[Action],
    update: int,
    settings: PPOParams,
    processes: Processes = ALONE,
    passes: RowsAtOnce | None = None,
) -> ForwardOutputs:
    """Return log-probabilities, values and entropies of the episodes, and the start model's.

    Runs the very forward passes of the first epoch, so that the first ratio of each update is 1
    to the last bit and not only up to the rounding of another batch shape. Each process runs its
    own passes; all get the outputs of all episodes.

    Raises:
        MemoryShortageError: When one row does not fit.
    """
    passes = passes or microbatch_rows(settings)
    tokens = [action.tokens for action in actions]
    lengths = [len(prompt) + len(taken) for prompt, taken in zip(prompts, tokens, strict=True)]
    rows: dict[int, list[Tensor]] = {}
    for step in minibatches(len(prompts), update, 1, settings):
        share = processes.share(step)

        def work(share: list[int] = share) -> None:
            for group in microbatches(share, prompts, lengths, passes.count):
                rows.update(_row_outputs(policy, prompts, tokens, group))

        if policy.sharded:
            once(passes, work)
        else:
            repeated(passes, work, lambda: None, processes)
    rows = processes.gathered(rows)
    ordered = [rows[row] for row in range(len(prompts))]
    mask = right_aligned([torch.ones(len(taken), dtype=torch.bool) for taken in tokens])
    logprobs, reference, values, entropy = map(right_aligned, zip(*ordered, strict=True))
    said = [torch.tensor(row.logprobs) for row in actions if row.logprobs is not None]
    acted = right_aligned(said) if len(said) == len(actions) else None
    return ForwardOutputs(mask, logprobs, reference, values, entropy, acted)


def _row_outputs(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[Sequence[int]],
    group: Sequence[int],
) -> dict[int, list[Tensor]]:
    """Return log-probability, reference, value and entropy of each row's tokens, by row."""
    batch = pad([prompts[row] for row in group], [tokens[row] for row in group], policy.device)
    seen = policy(batch, entropy=True)
    columns = [seen.logprobs, policy.reference_logprobs(batch), seen.values, seen.entropy]
    return {
        row: [column[index, -len(tokens[row]) :].cpu() for column in columns]
        for index, row in enumerate(group)
    }


def experience(
    prompts: Sequence[Sequence[int]],
    actions: Sequence[Action],
    outputs: ForwardOutputs,
    scores: Tensor,
    kl_coefficient: float,
    settings: PPOParams,
) -> Experience:
    """Return the experience of scored episodes; ``scores`` is [B]."""
    mask = outputs.mask
    kl = k1(outputs.logprobs, outputs.reference)
    rewards = token_rewards(scores, kl, mask, kl_coefficient)
    raw, returns = estimate_advantages(rewards, outputs.values, mask, settings.gamma, settings.lam)
    return Experience(
        prompts=prompts,
        actions=[action.tokens for action in actions],
        outputs=outputs,
        advantages=whiten(raw, mask) if settings.whiten else raw,
        returns=returns,
        weights=None
        if outputs.acted is None
        else importance_weights(outputs.logprobs, outputs.acted, settings.importance_cap),
    )
