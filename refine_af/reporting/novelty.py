"""What was new in each round of the bootstrap, against the seeds and all earlier rounds."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

from refine_af.contracts.records import Instruction, Seed
from refine_af.reporting.distinct import Numbered, first_met
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
    placed = _in_time(rounds)
    number = {
        (shard, request): index
        for index, (shard, requests) in enumerate(placed)
        for request in requests
    }
    words, tasks = _Met(), _Met()
    numbered = ((number.get((row.shard, row.request)), row.instruction) for row in instructions)
    for index, text in chain(((-1, seed.instruction) for seed in seeds), numbered):
        if index is not None:
            # Words of any script: the filter's tokens drop all but ASCII.
            words.add(index, words.known.pairs(WORD.findall(text.lower())))
            task = verb_and_noun(text)
            tasks.add(index, [tasks.known.number(task)] if task else [])
    sent = accumulate(len(requests) for _, requests in placed)
    shares = zip(sent, words.shares(len(placed)), tasks.shares(len(placed)), strict=True)
    return [Fresh(requests, new, task or 0.0) for requests, new, task in shares if new is not None]


class _Met:
    """Which things were met in which round."""

    def __init__(self) -> None:
        self.known = Numbered()
        self._codes, self._rounds = array("Q"), array("i")

    def add(self, index: int, codes: Sequence[int]) -> None:
        """Take what a text of round ``index`` holds; -1 for what was there before."""
        self._codes.extend(codes)
        self._rounds.extend([index] * len(codes))

    def shares(self, count: int) -> list[float | None]:
        """Return for each round the share that no round before had; None where it has nothing."""
        fresh = first_met(self._codes, self._rounds, count)
        rounds = np.frombuffer(self._rounds, np.int32)
        totals = np.bincount(rounds[rounds >= 0], minlength=count)
        return [
            new / total if total else None
            for new, total in zip(fresh.tolist(), totals.tolist(), strict=True)
        ]


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
