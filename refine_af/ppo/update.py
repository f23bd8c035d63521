"""One update: epochs of minibatch steps over the experience of one rollout."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from refine_af.contracts.errors import DataError
from refine_af.engines.memory import RowsAtOnce
from refine_af.ppo.experience import Experience, experience, forward_outputs
from refine_af.ppo.losses import policy_loss, value_loss
from refine_af.ppo.params import PPOParams
from refine_af.ppo.passes import microbatch_rows, once, repeated
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action
from refine_af.ppo.schedule import microbatches, minibatches
from refine_af.processes.group import ALONE, Processes, whole

VALUE_STEP = 0.1
"""About how far one step moves a value, in reward units, where no rate is given."""


def make_optimizer(policy: Policy, settings: PPOParams) -> torch.optim.AdamW:
    """Return AdamW without weight decay, with one group for the policy and one for the value head.

    Weight decay would pull an adapter to zero, that is, to the reference, which the KL term
    already does at a stated price.
    """
    head = list(policy.value_head.parameters())
    # AdamW moves each of the H weights by its rate, and hidden states are of size one.
    head_rate = settings.value_learning_rate or VALUE_STEP / policy.value_head.in_features
    body = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    groups = [
        {"params": body, "base_lr": settings.learning_rate},
        {"params": head, "base_lr": head_rate},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=0.0)


def improve(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    experience: Experience,
    update: int,
    settings: PPOParams,
    processes: Processes = ALONE,
    passes: RowsAtOnce | None = None,
) -> dict[str, float]:
    """Train on the experience and return means over all its tokens, epochs and steps.

    Returns:
        ``policy_loss``, ``value_loss``, ``ratio`` (mean of new / old probability),
        ``ratio_first`` (largest distance from 1 in the first step; 0 unless there is a bug),
        ``clip_fraction`` (share of tokens whose ratio left the clip range), ``approx_kl`` (of the
        old policy to the trained one, k3, nats per token) and ``gradient_norm`` (mean over
        steps, before clipping).

    Raises:
        DataError: When a gradient is not finite. The step was not taken.
    """
    factor = settings.rate_factor(update)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    steps = []
    for epoch in range(1, settings.epochs + 1):
        for rows in minibatches(len(experience.prompts), update, epoch, settings):
            totals = accumulate_gradient(policy, experience, rows, settings, processes, passes)
            totals["gradient_norm"] = _step(policy, optimizer, update, settings)
            steps.append(totals)
    return _summary(steps)


def accumulate_gradient(
    policy: Policy,
    experience: Experience,
    rows: Sequence[int],
    settings: PPOParams,
    processes: Processes = ALONE,
    passes: RowsAtOnce | None = None,
) -> dict[str, float]:
    """Set the gradient of the mean loss over the tokens of ``rows``; return sums over them.

    Each process takes its share of the rows; gradients and sums are those of all of them.

    Raises:
        MemoryShortageError: When one row does not fit.
    """
    passes = passes or microbatch_rows(settings)
    count = sum(len(experience.actions[row]) for row in rows)
    share = processes.share(rows)

    def work() -> dict[str, float]:
        totals: dict[str, float] = {}
        lengths = experience.lengths
        for group in microbatches(share, experience.prompts, lengths, passes.count):
            loss, sums = losses(policy, experience, group, settings)
            (loss / count).backward()  # type: ignore[no-untyped-call]
            for name, value in sums.items():
                joined = max if name == "ratio_first" else float.__add__
                totals[name] = joined(totals.get(name, 0.0), value)
        return totals

    def undo() -> None:
        for parameter in policy.trainable().values():
            parameter.grad = None

    totals = once(passes, work) if policy.sharded else repeated(passes, work, undo, processes)
    processes.add_gradients(policy.trainable().values())
    return processes.total(totals, largest=("ratio_first",)) | {"tokens": float(count)}


def rehearse(
    policy: Policy, prompts: Sequence[Sequence[int]], settings: PPOParams, passes: RowsAtOnce
) -> None:
    """Read and train on the longest prompts with actions of full length, and discard the gradient.

    What does not fit into memory shows here, within a minute, and not in the update that happens
    to draw long prompts; ``passes`` shrinks where it must. With sharded weights every process
    rehearses the same rows.
    """
    longest = sorted(prompts, key=len, reverse=True)[: settings.microbatch]
    actions = [Action((0,) * settings.max_new_tokens, "length") for _ in longest]
    alone = settings.model_copy(update={"minibatch": len(longest)})
    outputs = forward_outputs(policy, longest, actions, 0, alone, passes=passes)
    known = experience(longest, actions, outputs, torch.zeros(len(longest)), 0.0, alone)
    accumulate_gradient(policy, known, range(len(longest)), alone, passes=passes)
    for parameter in policy.trainable().values():
        parameter.grad = None


def losses(
    policy: Policy, experience: Experience, rows: Sequence[int], settings: PPOParams
) -> tuple[Tensor, dict[str, float]]:
    """Return the summed loss over the tokens of ``rows``, a scalar with gradient, and sums."""
    batch = experience.batch(rows, policy.device)
    mask, width = batch.action, batch.action.shape[1]

    def cut(values: Tensor) -> Tensor:
        return values[list(rows), -width:].to(policy.device)

    wants_entropy = settings.entropy_coefficient > 0
    new = policy(batch, entropy=wants_entropy)
    old, old_values = cut(experience.outputs.logprobs), cut(experience.outputs.values)
    # Positions outside the action hold arbitrary numbers whose exp could overflow to inf, and
    # 0 * inf is NaN in the backward pass: they are made equal before any formula sees them.
    logprobs = torch.where(mask, new.logprobs, old)
    values = torch.where(mask, new.values, old_values)
    on_policy = policy_loss(logprobs, old, cut(experience.advantages), settings.clip)
    if experience.weights is not None:
        on_policy = on_policy * cut(experience.weights)
    on_value = value_loss(values, old_values, cut(experience.returns), settings.value_clip)
    loss = on_policy + settings.value_coefficient * on_value
    if wants_entropy:
        loss = loss - settings.entropy_coefficient * new.entropy
    sums = _sums(logprobs.detach() - old, on_policy.detach(), on_value.detach(), mask, settings)
    return torch.where(mask, loss, 0.0).sum(), sums


def _sums(
    log_ratio: Tensor, on_policy: Tensor, on_value: Tensor, mask: Tensor, settings: PPOParams
) -> dict[str, float]:
    ratio = log_ratio.exp()
    away = (ratio - 1).abs()
    values = {
        "policy_loss": on_policy,
        "value_loss": on_value,
        "ratio": ratio,
        "clip_fraction": (away > settings.clip).float(),
        "approx_kl": ratio - 1 - log_ratio,
    }
    sums = {name: torch.where(mask, value, 0.0).sum().item() for name, value in values.items()}
    return sums | {"ratio_first": torch.where(mask, away, 0.0).max().item()}


def _step(
    policy: Policy, optimizer: torch.optim.Optimizer, update: int, settings: PPOParams
) -> float:
    """Clip the gradient, take the step and return the gradient's L2 norm before clipping."""
    gradients = [tensor.grad for tensor in policy.trainable().values() if tensor.grad is not None]
    norm = _norm(gradients)
    if not math.isfinite(norm):
        raise DataError(
            f"update {update}: the gradient norm is {norm}, so no step was taken; lower"
            " learning_rate or value_coefficient, or load the model in float32"
        )
    if norm > settings.max_grad_norm:
        for gradient in gradients:
            gradient.mul_(settings.max_grad_norm / norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def _norm(gradients: Iterable[Tensor]) -> float:
    """Return the L2 norm of all gradients together; of sharded ones the whole counts."""
    norms = [whole(torch.linalg.vector_norm(gradient)) for gradient in gradients]
    return float(torch.linalg.vector_norm(torch.stack(norms)))


def _summary(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    tokens = sum(step["tokens"] for step in steps)
    names = ("policy_loss", "value_loss", "ratio", "clip_fraction", "approx_kl")
    means = {name: sum(step[name] for step in steps) / tokens for name in names}
    return means | {
        "ratio_first": steps[0]["ratio_first"],
        "gradient_norm": sum(step["gradient_norm"] for step in steps) / len(steps),
    }
