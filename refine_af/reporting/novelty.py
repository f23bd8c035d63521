"""What was new in each round of the bootstrap, against the seeds and all earlier rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from refine_af.contracts.records import Instruction, Seed
from refine_af.reporting.inputs import Round
from refine_af.reporting.style import WORD
from refine_af.reporting.verb_noun import verb_and_noun


@dataclass(frozen=True, slots=True)
class Fresh:
    """One round that kept something.

    Attributes:
        requests: Sent by all shards up to the end of this round.
        word_pairs: Share in [0, 1] of its pairs of neighbouring words that are new; a pair that
            stands twice in the round counts twice, and is new once.
        tasks: The same for root verb and object.
    """

    requests: int
    word_pairs: float
    tasks: float


def novelty(
    rounds: Sequence[Round], instructions: Sequence[Instruction], seeds: Sequence[Seed]
) -> list[Fresh]:
    """Return the novelty of each round, the shards' rounds of one number one after the other.

    Instructions that the filter dropped later are not there any more and do not count.
    """
    texts: dict[tuple[int, int], list[str]] = {}
    for row in instructions:
        texts.setdefault((row.shard, row.request), []).append(row.instruction)
    known_pairs = {pair for seed in seeds for pair in _word_pairs(seed.instruction)}
    known_tasks = {task for seed in seeds if (task := verb_and_noun(seed.instruction))}
    fresh: list[Fresh] = []
    sent = 0
    for shard, requests in _in_time(rounds):
        sent += len(requests)
        kept = [text for request in requests for text in texts.get((shard, request), ())]
        pairs = [pair for text in kept for pair in _word_pairs(text)]
        tasks = [task for text in kept if (task := verb_and_noun(text))]
        if pairs:
            fresh.append(Fresh(sent, _new(pairs, known_pairs), _new(tasks, known_tasks)))
    return fresh


def _in_time(rounds: Sequence[Round]) -> list[tuple[int, range]]:
    """Return (shard, numbers of its requests) of each round; shards ran side by side."""
    counts: dict[int, int] = {}
    sent: dict[int, int] = {}
    placed: list[tuple[int, int, range]] = []
    for batch in rounds:
        first = sent.get(batch.shard, 0)
        sent[batch.shard] = first + batch.requested
        number = counts[batch.shard] = counts.get(batch.shard, -1) + 1
        placed.append((number, batch.shard, range(first, first + batch.requested)))
    return [(shard, requests) for _, shard, requests in sorted(placed, key=lambda item: item[:2])]


def _word_pairs(text: str) -> list[tuple[str, str]]:
    # Words of any script: the filter's tokens drop all but ASCII.
    return list(pairwise(WORD.findall(text.lower())))


def _new(items: Sequence[tuple[str, str]], known: set[tuple[str, str]]) -> float:
    """Return the share of items that are met for the first time, and remember all of them."""
    if not items:
        return 0.0
    before = len(known)
    known.update(items)
    return (len(known) - before) / len(items)
