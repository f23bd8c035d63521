"""Turns answers into decided rows: parsed, then filtered by rules and similarity, in order.

The bootstrap decides each round with it; filtering again from kept answers runs the same code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from refine_af.contracts.readable import readable
from refine_af.contracts.records import Instruction, Rejected, Seed
from refine_af.dedup.index import Neighbour, RougeLIndex
from refine_af.engines.text import Finish
from refine_af.self_instruct.params import BootstrapParams
from refine_af.self_instruct.parse_instructions import Piece, parse_instructions
from refine_af.self_instruct.task_rating import Rate, refusals

STAGE = "generate_instructions"
KNOWN = "known-"
"""Prefix of the ids of known texts; no row's id has it."""

Row = Instruction | Rejected

_READ_TOGETHER = 128
"""Answers that are put into the index together, which costs more the fewer they are."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        number: Of the request, within its shard.
        parents: Ids of the rows that the request showed.
        text: As the model wrote it.
        finish: ``stop``, ``length`` or ``error``.
        error: What went wrong, for ``error``.
    """

    number: int
    parents: tuple[str, ...]
    text: str
    finish: Finish
    error: str = ""


class Decider:
    """Decides answers of one shard against seeds, known texts and every row kept before."""

    def __init__(
        self,
        seeds: Sequence[Seed],
        params: BootstrapParams,
        known: Sequence[str] = (),
        rate: Rate | None = None,
    ) -> None:
        """Start with the seeds as the pool.

        Args:
            seeds: Not to be repeated.
            params: How answers are read and compared, and the number of the shard.
            known: Texts that are not to be repeated either.
            rate: Rates the texts of a round; None lets every task pass.
        """
        self._shard = params.shard
        self._rate, self._params = rate, params
        self._rules = params.parse_rules
        self._index = RougeLIndex(params.max_rouge_l, params.tokens)
        self._index.add_all([(seed.id, seed.instruction) for seed in seeds])
        self._known = {f"{KNOWN}{index}": text for index, text in enumerate(known)}
        self._index.add_all(list(self._known.items()))

    @property
    def tokenless(self) -> int:
        """Rows kept without comparison, because their script has no token."""
        return self._index.tokenless

    def add(self, kept: Sequence[tuple[str, str]]) -> None:
        """Take (id, text) rows that were kept before into the pool."""
        self._index.add_all(kept)

    def decide(self, answers: Iterable[Answer]) -> list[Row]:
        """Return one row per piece of the answers, in order; those kept join the pool."""
        findings, rows = self._proposed(answers)
        self._refuse(findings, rows, self._index.offer_all(_texts(rows)))
        return rows

    def decide_all(self, read: Callable[[], Iterable[Answer]]) -> Iterator[list[Row]]:
        """Yield for each answer the rows that :meth:`decide` would return; nothing is rated.

        All rows are compared at once: time grows little faster than they do, while every call of
        :meth:`decide` prepares the rows before it anew. Memory is that of the index.

        Args:
            read: Returns the answers; called twice.
        """
        count = 0
        answers = iter(read())
        while batch := list(islice(answers, _READ_TOGETHER)):
            texts = _texts(self._proposed(batch)[1])
            self._index.add_all(texts)
            count += len(texts)
        verdicts = iter(self._index.decide(count))
        for answer in read():
            findings, rows = self._proposed([answer])
            self._refuse(findings, rows, verdicts)
            yield rows

    def _proposed(self, answers: Iterable[Answer]) -> tuple[list["_Finding"], list[Row]]:
        """Return what the answers hold, and a row of each that nothing was compared with yet."""
        findings = self._rated([piece for answer in answers for piece in self._read(answer)])
        return findings, [
            finding.instruction(self._shard)
            if finding.piece.reason is None
            else finding.rejected(self._shard)
            for finding in findings
        ]

    def _refuse(
        self, findings: list["_Finding"], rows: list[Row], verdicts: Iterable[Neighbour | None]
    ) -> None:
        """Put a rejection into the place of each instruction that has a neighbour."""
        left = iter(verdicts)
        for index, row in enumerate(rows):
            near = next(left) if isinstance(row, Instruction) else None
            if near is not None:
                known = self._known.get(near.id, "")
                rows[index] = findings[index].rejected(self._shard, near, known)

    def _rated(self, findings: list["_Finding"]) -> list["_Finding"]:
        """Return the findings, those that the rating drops with the reason."""
        usable = [index for index, one in enumerate(findings) if one.piece.reason is None]
        if self._rate is None or not usable:
            return findings
        ratings = self._rate([findings[index].piece.text for index in usable])
        dropped = refusals(ratings, self._params.min_rating, self._params.best_share)
        for number, (reason, detail) in dropped.items():
            index = usable[number]
            piece = replace(findings[index].piece, reason=reason, detail=detail)
            findings[index] = replace(findings[index], piece=piece, rating=ratings[number])
        return findings

    def _read(self, answer: Answer) -> list["_Finding"]:
        if answer.finish == "error":
            failed = Piece("", 0, "engine_error", answer.error)
            return [_Finding(answer.number, answer.parents, failed)]
        pieces = parse_instructions(answer.text, answer.finish, self._rules)
        return [_Finding(answer.number, answer.parents, piece) for piece in pieces]


@dataclass(frozen=True, slots=True)
class _Finding:
    """A piece with the request that it came from and the rows that the request showed."""

    request: int
    parents: tuple[str, ...]
    piece: Piece
    rating: float | None = None

    def instruction(self, shard: int) -> Instruction:
        piece = self.piece
        return Instruction.make(piece.text, self.parents, self.request, piece.position, shard)

    def rejected(self, shard: int, near: Neighbour | None = None, known: str = "") -> Rejected:
        """Return the row; a known text goes into it, for no file of the run has it."""
        piece = self.piece
        return Rejected.make(
            STAGE,
            _similarity(near) if near else piece.reason or "",
            piece.text,
            self.parents,
            key=f"{shard}:{self.request}:{piece.position}",
            neighbour=near.id if near else None,
            score=near.score if near else self.rating,
            detail=readable(known or piece.detail),
            request=request_name(shard, self.request),
        )


def _texts(rows: Iterable[Row]) -> list[tuple[str, str]]:
    return [(row.id, row.instruction) for row in rows if isinstance(row, Instruction)]


def request_name(shard: int, number: int) -> str:
    """Return the id of a request."""
    return f"shard-{shard}-request-{number}"


def _similarity(near: Neighbour) -> str:
    return "known" if near.id.startswith(KNOWN) else "similar"
