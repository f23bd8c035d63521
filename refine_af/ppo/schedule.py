"""What is random in PPO, as functions of (seed, update): no generator state needs saving."""

from collections.abc import Sequence

from refine_af.contracts.randomness import derive, shuffled
from refine_af.engines.decode import SHARED_AT_LEAST
from refine_af.ppo.episodes import Prompt
from refine_af.ppo.params import PPOParams


def prompts_of(
    prompts: Sequence[Prompt], update: int, settings: PPOParams
) -> tuple[list[Prompt], list[int]]:
    """Return the prompts of ``update`` (from 1) and the seed of each episode.

    Episodes count on through the run; every pass over the prompts has an order of its own, so
    each prompt is used once before any is used again. Episodes of one prompt stand together.
    """
    count, repeats = settings.episodes_per_update, settings.episodes_per_prompt
    episodes = range((update - 1) * count, update * count)
    numbers = [episode // repeats for episode in episodes]
    passes = {number // len(prompts) for number in numbers}
    orders = {number: shuffled(prompts, settings.seed, "ppo-prompts", number) for number in passes}
    chosen = [orders[number // len(prompts)][number % len(prompts)] for number in numbers]
    return chosen, [derive(settings.seed, "ppo-episode", episode) for episode in episodes]


def minibatches(episodes: int, update: int, epoch: int, settings: PPOParams) -> list[list[int]]:
    """Return the episodes of each optimiser step of one epoch; the last may hold fewer."""
    order = shuffled(range(episodes), settings.seed, "ppo-minibatch", update, epoch)
    return [
        order[start : start + settings.minibatch]
        for start in range(0, episodes, settings.minibatch)
    ]


def microbatches(
    minibatch: Sequence[int],
    prompts: Sequence[Sequence[int]],
    lengths: Sequence[int],
    most: int,
) -> list[list[int]]:
    """Split one step's episodes into forward passes of at most ``most``.

    Episodes whose prompts begin alike stand together, so that a pass reads the beginning once (see
    :mod:`refine_af.ppo.packing`); else they are sorted by length (ties by number), so that a pass
    pads little. The step's gradient is a sum and does not depend on the split.

    Args:
        minibatch: Numbers of the episodes.
        prompts: Token ids of all episodes' prompts.
        lengths: Tokens of all episodes, prompt and action together.
        most: Episodes of one pass.
    """
    longest: dict[tuple[int, ...], int] = {}
    for episode in minibatch:
        begin = _beginning(prompts[episode])
        longest[begin] = max(longest.get(begin, 0), lengths[episode])

    def order(episode: int) -> tuple[int, tuple[int, ...], int, int]:
        begin = _beginning(prompts[episode])
        return longest[begin], begin, lengths[episode], episode

    ordered = sorted(minibatch, key=order)
    return [ordered[start : start + most] for start in range(0, len(ordered), most)]


def _beginning(prompt: Sequence[int]) -> tuple[int, ...]:
    """Return what a prompt begins with, empty where it is too short to be worth sharing."""
    return tuple(prompt[:SHARED_AT_LEAST]) if len(prompt) >= SHARED_AT_LEAST else ()
