"""The bootstrap loop as a state machine that knows no engine.

A round draws its prompts from one frozen pool; its completions are then judged in order, and what
is accepted joins the pool at once. So the engine may answer a round's prompts in any order, and
replaying the stored completions gives the same state after a crash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from refine_af.contracts import randomness
from refine_af.contracts.errors import DataError
from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.dedup.index import RougeLIndex
from refine_af.engines.text import Completion, Request
from refine_af.self_instruct.parse_instructions import (
    ALPACA_KEYWORDS,
    KEYWORDS,
    Piece,
    Rules,
    split_completion,
)
from refine_af.self_instruct.prompts import instructions_prompt

STAGE_NAME = "generate_instructions"


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """What decides the rows; see the parameters of the stage for meaning and source."""

    target: int
    round_size: int
    max_requests: int
    max_empty_rounds: int
    in_context: int = 8
    machine_in_context: int = 2
    max_rouge_l: float = 0.7
    shard: int = 0
    seed: int = 1
    parity: bool = False
    alpaca_keywords: bool = False


class Bootstrap:
    """Seeds and machine-written instructions, growing round by round.

    Attributes:
        kept: Accepted instructions, in order.
        rejected: Dropped pieces, in order.
        rounds: Counts per round: ``requested, returned, parsed, kept``.
        requests: Prompts drawn so far.
    """

    def __init__(self, seeds: Sequence[Seed], settings: BootstrapSettings) -> None:
        """Start from seeds, which are never filtered.

        Raises:
            DataError: When there are fewer seeds than a prompt shows.
        """
        if len(seeds) < settings.in_context:
            raise DataError(
                f"{len(seeds)} seeds are fewer than the {settings.in_context} that a prompt shows;"
                " add seeds or lower in_context"
            )
        self._settings = settings
        self._seeds = list(seeds)
        extra = ALPACA_KEYWORDS if settings.alpaca_keywords else ()
        self._rules = Rules(parity=settings.parity, keywords=KEYWORDS + extra)
        self._index = RougeLIndex(settings.max_rouge_l)
        self._index.add_all([(seed.id, seed.instruction) for seed in seeds])
        self._parents: list[tuple[str, ...]] = []
        self._empty_rounds = 0
        self.kept: list[Instruction] = []
        self.rejected: list[Rejected] = []
        self.rounds: list[dict[str, int]] = []
        self.requests = 0

    @property
    def ended(self) -> bool:
        """Tell whether the target, the cap on requests, or saturation is reached."""
        return (
            len(self.kept) >= self._settings.target
            or self.requests >= self._settings.max_requests
            or self._empty_rounds >= self._settings.max_empty_rounds
        )

    def next_requests(self) -> list[Request]:
        """Return the prompts of the next round, drawn from the pool as it stands."""
        left = self._settings.max_requests - self.requests
        numbers = range(self.requests, self.requests + min(self._settings.round_size, left))
        shown = [self._in_context(number) for number in numbers]
        self._parents = [tuple(row.id for row in rows) for rows in shown]
        return [
            Request(
                id=f"{self._settings.shard}/{number}",
                prompt=instructions_prompt([row.instruction for row in rows]),
                seed=self._derive("completion", number),
            )
            for number, rows in zip(numbers, shown, strict=True)
        ]

    def _in_context(self, number: int) -> list[Seed | Instruction]:
        """Return up to ``machine_in_context`` machine rows, filled up with seeds, shuffled."""
        few = min(self._settings.machine_in_context, self._settings.in_context)
        machine = self._sample(self.kept, few, "machine", number)
        seeds = self._sample(self._seeds, self._settings.in_context - len(machine), "seeds", number)
        return self._sample([*machine, *seeds], self._settings.in_context, "order", number)

    def _sample(
        self, rows: Sequence[Seed | Instruction], count: int, purpose: str, number: int
    ) -> list[Seed | Instruction]:
        key = (self._settings.shard, number)
        return randomness.sample(rows, count, self._settings.seed, f"bootstrap-{purpose}", *key)

    def _derive(self, purpose: str, number: int) -> int:
        return randomness.derive(
            self._settings.seed, f"bootstrap-{purpose}", self._settings.shard, number
        )

    def take(self, completions: Sequence[Completion]) -> None:
        """Judge the completions of the last round, in the order of its requests."""
        before, parsed = len(self.kept), 0
        for place, completion in enumerate(completions):
            parsed += self._take_one(self.requests + place, self._parents[place], completion)
        self.requests += len(completions)
        self.rounds.append(
            {
                "round": len(self.rounds),
                "requested": len(completions),
                "returned": sum(one.finish != "error" for one in completions),
                "parsed": parsed,
                "kept": len(self.kept) - before,
            }
        )
        self._empty_rounds = 0 if len(self.kept) > before else self._empty_rounds + 1

    def _take_one(self, number: int, parents: tuple[str, ...], completion: Completion) -> int:
        """Judge one completion and return how many pieces it held."""
        if completion.finish == "error":
            self._reject("engine_error", completion.error, number, 0, parents)
            return 0
        pieces = split_completion(completion.text, completion.finish, self._rules)
        for piece in pieces:
            self._take_piece(piece, number, parents)
        return len(pieces)

    def _take_piece(self, piece: Piece, number: int, parents: tuple[str, ...]) -> None:
        place = (number, piece.position)
        if piece.reason:
            self._reject(piece.reason, piece.text, *place, parents, detail=piece.detail)
            return
        if len(self.kept) >= self._settings.target:
            self._reject("over_target", piece.text, *place, parents)
            return
        row = Instruction.make(piece.text, parents, *place, self._settings.shard)
        neighbour = self._index.offer(row.id, piece.text)
        if neighbour is None:
            self.kept.append(row)
            return
        self._reject(
            "similar",
            piece.text,
            *place,
            parents,
            neighbour=neighbour.id,
            score=neighbour.score,
        )

    def _reject(
        self,
        reason: str,
        text: str,
        number: int,
        position: int,
        parents: tuple[str, ...],
        *,
        neighbour: str | None = None,
        score: float | None = None,
        detail: str = "",
    ) -> None:
        self.rejected.append(
            Rejected.make(
                STAGE_NAME,
                reason,
                text,
                parents,
                place=f"{self._settings.shard}/{number}/{position}",
                neighbour=neighbour,
                score=score,
                detail=detail,
            )
        )
