"""The Self-Instruct loop without an engine: it makes requests and decides on completions.

Source: Self-Instruct, section 2.2, ``bootstrap_instructions.py``. As there, a round's prompts are
drawn from one pool (five prompts in the reference) and accepted pieces join the pool at once, so
that later pieces of the same round are compared with them. Differences, each a setting: what
:class:`ParseRules` names, and an end that does not need the target (a small model may stall).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from refine_af.contracts.errors import DataError
from refine_af.contracts.randomness import derive, shuffled
from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.engines.text import Completion, Request
from refine_af.self_instruct.decide import STAGE, Answer, Decider, request_name
from refine_af.self_instruct.params import BootstrapParams
from refine_af.self_instruct.prompts import instructions_prompt
from refine_af.self_instruct.task_rating import Rate

End = Literal["target", "max_requests", "no_acceptance"]


@dataclass(frozen=True, slots=True)
class Round:
    """The decisions on one round's completions, in order of request and position."""

    kept: list[Instruction]
    rejected: list[Rejected]


class Bootstrap:
    """One shard's loop: ``next_requests`` and ``consume`` in turn, until ``end`` is set.

    Its whole state is the list of accepted rows and the number of requests made, so a journal
    that holds both at a round's border is enough to go on (:meth:`resume`).
    """

    def __init__(
        self,
        seeds: Sequence[Seed],
        params: BootstrapParams,
        known: Sequence[str] = (),
        rate: Rate | None = None,
    ) -> None:
        """Start with the seeds as the pool.

        Args:
            seeds: Shown in prompts, and not to be repeated.
            params: Of the loop.
            known: Texts that are not to be repeated either, such as what the model was trained
                on; a piece that does is dropped as ``known``.
            rate: Rates the texts of a round (:mod:`refine_af.self_instruct.task_rating`).

        Raises:
            DataError: For fewer seeds than a prompt shows.
        """
        if len(seeds) < params.in_context:
            raise DataError(
                f"{len(seeds)} seeds; a prompt shows {params.in_context}, so give that many"
            )
        self._params = params
        self._seeds = [(seed.id, seed.instruction) for seed in seeds]
        self._decider = Decider(seeds, params, known, rate)
        self._kept: list[tuple[str, str]] = []
        self._accepted_by_round: list[int] = []
        self._requests = 0
        self._pending: list[tuple[Request, tuple[str, ...]]] = []

    def resume(self, kept: Iterable[Instruction], requests: int) -> None:
        """Go on after ``requests`` requests, a round's border, which accepted ``kept``."""
        if self._requests or self._pending:
            raise ValueError("resume comes before the first request")
        rounds = -(-requests // self._params.round_size)
        self._accepted_by_round = [0] * rounds
        for row in kept:
            if not row.request < requests:
                raise DataError(f"{row.id} is of request {row.request}, but {requests} were made")
            self._accepted_by_round[row.request // self._params.round_size] += 1
            self._kept.append((row.id, row.instruction))
        self._decider.add(self._kept)
        self._requests = requests

    @property
    def requests(self) -> int:
        """Requests whose completions were consumed."""
        return self._requests

    @property
    def accepted(self) -> int:
        """Instructions accepted so far."""
        return len(self._kept)

    @property
    def tokenless(self) -> int:
        """Accepted since the start or resumption without comparison: no token in their script."""
        return self._decider.tokenless

    @property
    def acceptance_curve(self) -> list[int]:
        """Instructions accepted after each round, cumulated."""
        return list(accumulate(self._accepted_by_round))

    @property
    def end(self) -> End | None:
        """Why the loop ended; None while it runs."""
        params = self._params
        if self.accepted >= params.target:
            return "target"
        idle = self._accepted_by_round[-params.max_empty_rounds :]
        if params.max_empty_rounds and len(idle) == params.max_empty_rounds and not any(idle):
            return "no_acceptance"
        if 0 < params.max_requests <= self._requests:
            return "max_requests"
        return None

    def next_requests(self) -> list[Request]:
        """Return the requests of the next round, none when the loop is over.

        All are drawn from the pool as it stands; calling again before ``consume`` returns the
        same ones.
        """
        size = self._params.round_size
        if self._params.max_requests:
            size = min(size, self._params.max_requests - self._requests)
        if not self._pending and self.end is None:
            self._pending = [self._request(self._requests + offset) for offset in range(size)]
        return [request for request, _ in self._pending]

    @property
    def shown(self) -> list[tuple[str, ...]]:
        """Ids of the rows that each request of the round in progress shows, in prompt order."""
        return [parents for _, parents in self._pending]

    def consume(self, completions: Sequence[Completion]) -> Round:
        """Decide every piece of a round's completions, given in the order of its requests."""
        asked = [request.id for request, _ in self._pending]
        if [completion.id for completion in completions] != asked:
            raise ValueError(f"completions must answer the requests {asked} in that order")
        decided = self._decider.decide(
            Answer(self._requests + offset, parents, answer.text, answer.finish, answer.error)
            for offset, (parents, answer) in enumerate(zip(self.shown, completions, strict=True))
        )
        kept = [row for row in decided if isinstance(row, Instruction)]
        self._kept += [(row.id, row.instruction) for row in kept]
        self._accepted_by_round.append(len(kept))
        self._requests += len(completions)
        self._pending = []
        return Round(kept, [row for row in decided if isinstance(row, Rejected)])

    def _request(self, number: int) -> tuple[Request, tuple[str, ...]]:
        """Return request ``number`` of this shard and the ids that its prompt shows."""
        params, kept = self._params, self._kept
        keys = (params.shard, number)
        own = _draw(len(kept), params.machine_in_context, params.seed, "machine-shown", *keys)
        fill = params.in_context - len(own)
        given = _draw(len(self._seeds), fill, params.seed, "seeds-shown", *keys)
        rows = [kept[index] for index in own] + [self._seeds[index] for index in given]
        rows = shuffled(rows, params.seed, "shown-order", *keys)
        request = Request(
            id=request_name(params.shard, number),
            prompt=instructions_prompt([text for _, text in rows], self._params.style),
            seed=derive(params.seed, STAGE, *keys),
        )
        return request, tuple(row_id for row_id, _ in rows)


def _draw(size: int, count: int, seed: int, purpose: str, *keys: int) -> list[int]:
    """Return ``count`` different indices below ``size``; all of them when there are fewer.

    Draws until enough differ, so that the cost does not grow with the pool (:func:`sample`
    hashes every index).
    """
    count = min(count, size)
    indices: dict[int, None] = {}
    attempt = 0
    while len(indices) < count:
        indices[derive(seed, purpose, *keys, attempt) % size] = None
        attempt += 1
    return list(indices)
