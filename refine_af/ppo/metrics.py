"""Numbers of one update, for people: one flat row of finite floats."""

from collections import Counter
from collections.abc import Sequence

import torch

from refine_af.ppo.advantages import masked_mean, masked_variance
from refine_af.ppo.episodes import Episode, Feedback
from refine_af.ppo.experience import Experience
from refine_af.ppo.kl import k1, k3

TEMPLATE_WORDS = 4
"""Words of a run that counts as a piece of a template."""


def describe(
    episodes: Sequence[Episode], feedback: Sequence[Feedback], experience: Experience
) -> dict[str, float]:
    """Return what one rollout showed, before training on it.

    Returns:
        What :func:`describe_texts` returns; ``kl`` (k1) and ``kl_k3``, nats per episode to the
        start model; ``entropy``, nats per token; ``explained_variance``.
    """
    outputs = experience.outputs
    mask, count = outputs.mask, len(episodes)
    row = describe_texts(episodes, feedback, mask.sum().item() / count)
    pairs = [(k1, "kl"), (k3, "kl_k3")]
    for estimate, name in pairs:
        total = torch.where(mask, estimate(outputs.logprobs, outputs.reference), 0.0).sum()
        row[name] = total.item() / count
    return (
        row
        | {
            "entropy": masked_mean(outputs.entropy, mask).item(),
            "explained_variance": explained_variance(experience),
        }
        | rollout_mismatch(experience)
    )


def rollout_mismatch(experience: Experience) -> dict[str, float]:
    """Return how far the engine that acted is from the trained model."""
    outputs = experience.outputs
    if outputs.acted is None or experience.weights is None:
        return {}
    away = torch.where(outputs.mask, (outputs.logprobs - outputs.acted).abs(), 0.0)
    return {
        "rollout_difference": masked_mean(away, outputs.mask).item(),
        "rollout_difference_max": away.max().item(),
        "rollout_weight": masked_mean(experience.weights, outputs.mask).item(),
    }


def describe_texts(
    episodes: Sequence[Episode], feedback: Sequence[Feedback], length: float
) -> dict[str, float]:
    """Return what the texts and the reward show.

    Args:
        episodes: Of one rollout.
        feedback: Of each.
        length: Mean tokens of an action.

    Returns:
        ``reward_mean``, ``reward_sd`` and for each part ``part_NAME_mean``, ``part_NAME_sd``
        (population standard deviation over the episodes that were measured; absent when none was);
        ``length``; ``truncated`` and ``parseable`` (shares of episodes); ``distinct_2`` and
        ``template_share``.
    """
    row = _spread("reward", [score.total for score in feedback])
    measured = [score.parts for score in feedback if score.parts]
    for name in sorted(measured[0]) if measured else ():
        row |= _spread(f"part_{name}", [parts[name] for parts in measured])
    count, texts = len(episodes), [episode.action for episode in episodes]
    return row | {
        "length": length,
        "truncated": sum(episode.finish == "length" for episode in episodes) / count,
        "parseable": sum(score.parseable for score in feedback) / count,
        "distinct_2": distinct(texts, 2),
        "template_share": template_share(texts),
    }


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return {f"{name}_mean": mean, f"{name}_sd": variance**0.5}


def explained_variance(experience: Experience) -> float:
    """Return ``1 - var(R - V) / var(R)`` over tokens; 0 where all returns are equal.

    1: the values predict the returns; 0: no better than their mean; below 0: worse.
    """
    mask, values = experience.outputs.mask, experience.outputs.values
    spread = masked_variance(experience.returns, mask)
    if spread == 0:
        return 0.0
    return (1 - masked_variance(experience.returns - values, mask) / spread).item()


def _runs(text: str, words: int) -> list[tuple[str, ...]]:
    tokens = text.lower().split()
    return [tuple(tokens[start : start + words]) for start in range(len(tokens) - words + 1)]


def distinct(texts: Sequence[str], words: int) -> float:
    """Return different word runs of that length over all of them; 0 where there are none.

    Source: Li et al. 2016 (arXiv 1510.03055), section 5, here over all texts together.
    """
    runs = [run for text in texts for run in _runs(text, words)]
    return len(set(runs)) / len(runs) if runs else 0.0


def template_share(texts: Sequence[str]) -> float:
    """Return the share of runs of four words that also occur in another text; 0 where none are.

    It rises to 1 when all episodes fill the same template, also where slots are filled anew.
    """
    runs = [set(_runs(text, TEMPLATE_WORDS)) for text in texts]
    texts_with = Counter(run for text_runs in runs for run in text_runs)
    total = sum(len(text_runs) for text_runs in runs)
    shared = sum(texts_with[run] > 1 for text_runs in runs for run in text_runs)
    return shared / total if total else 0.0
